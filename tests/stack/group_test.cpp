// SPDX-License-Identifier: GPL-2.0
//
// /dev/vfio/N: the node, status, attaching to a container, device fds, and
// groups of which another driver holds a part.
#include <string.h>
#include <sys/stat.h>

#include "harness.hpp"

namespace stack {
namespace {

constexpr long kViable = VFIO_GROUP_FLAGS_VIABLE;
constexpr long kSet = VFIO_GROUP_FLAGS_CONTAINER_SET;

class Group : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    edu = lone_devices()[0];
    group = open_group(edu);
    container = open_container();
    ASSERT_OK(group.get());
    ASSERT_OK(container.get());
  }
  PciDevice edu;
  Fd container, group;
};

TEST_F(Group, NodeIsPrivate) {
  struct stat st;
  ASSERT_EQ(stat(edu.node().c_str(), &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
  EXPECT_EQ(st.st_mode & 07777, 0600u);
  EXPECT_EQ(st.st_uid, 0u);
}

TEST_F(Group, NodeIsRefusedToOthers) {
  group.reset();
  in_child([&] { EXPECT_ERR(EACCES, open_group(edu).get()); },
           {.drop_user = true, .memlock = {}});
}

TEST_F(Group, ReadWriteMmapRefused) {
  char byte = 0;
  EXPECT_EQ(read(group, &byte, 1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(write(group, &byte, 1), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(mmap(nullptr, kPage, PROT_READ, MAP_SHARED, group, 0), MAP_FAILED);
  EXPECT_EQ(errno, ENODEV);
}

TEST_F(Group, UnknownIoctlIsENOTTY) {
  EXPECT_ERR(ENOTTY, call(group, _IO(VFIO_TYPE, VFIO_BASE + 90)));
  EXPECT_ERR(ENOTTY, call(group, VFIO_GET_API_VERSION));
  EXPECT_ERR(ENOTTY, call(group, VFIO_DEVICE_RESET));
}

// --- one open at a time ---------------------------------------------------

TEST_F(Group, SecondOpenIsEBUSY) {
  EXPECT_ERR(EBUSY, open_group(edu).get());
  group.reset();
  EXPECT_OK(open_group(edu).get());
}

TEST_F(Group, SecondOpenFromAnotherProcessIsEBUSY) {
  in_child([&] { EXPECT_ERR(EBUSY, open_group(edu).get()); });
}

TEST_F(Group, DupKeepsItOpen) {
  Fd copy(dup(group));
  group.reset();
  EXPECT_ERR(EBUSY, open_group(edu).get());
  EXPECT_OK(set_container(copy, container));
  copy.reset();
  EXPECT_OK(open_group(edu).get());
}

TEST_F(Group, ChildKeepsItOpen) {
  Child child([](Child& self) { EXPECT_TRUE(self.await()); });
  group.reset();
  EXPECT_ERR(EBUSY, open_group(edu).get());
  child.notify();
  child.wait();
  EXPECT_OK(open_group(edu).get());
}

// --- status ---------------------------------------------------------------

TEST_F(Group, StatusThroughItsLife) {
  EXPECT_EQ(group_flags(group), kViable);
  ASSERT_OK(set_container(group, container));
  EXPECT_EQ(group_flags(group), kViable | kSet);
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_EQ(group_flags(group), kViable | kSet);
  ASSERT_OK(unset_container(group));
  EXPECT_EQ(group_flags(group), kViable);
}

TEST_F(Group, StatusArgszShortIsEINVAL) {
  for (uint32_t argsz : {0u, 4u, 7u}) {
    vfio_group_status status{argsz, 0x55};
    EXPECT_ERR(EINVAL, call(group, VFIO_GROUP_GET_STATUS, &status)) << argsz;
    EXPECT_EQ(status.flags, 0x55u) << "untouched";
  }
}

TEST_F(Group, StatusArgszLargeIsFine) {
  struct {
    vfio_group_status status;
    uint32_t beyond;
  } arg = {{sizeof arg, 0}, 0xabcdef};
  EXPECT_OK(call(group, VFIO_GROUP_GET_STATUS, &arg));
  EXPECT_EQ(arg.status.argsz, sizeof arg);
  EXPECT_EQ(arg.status.flags, kViable);
  EXPECT_EQ(arg.beyond, 0xabcdefu);
}

TEST_F(Group, StatusBadPointerIsEFAULT) {
  EXPECT_ERR(EFAULT, call(group, VFIO_GROUP_GET_STATUS, 8ul));
  EXPECT_ERR(EFAULT, call(group, VFIO_GROUP_GET_STATUS, nullptr));
  Memory ro(kPage);
  reinterpret_cast<vfio_group_status*>(ro.data())->argsz = 8;
  mprotect(ro.data(), kPage, PROT_READ);
  EXPECT_ERR(EFAULT, call(group, VFIO_GROUP_GET_STATUS, ro.data()));
}

// --- container ------------------------------------------------------------

TEST_F(Group, SetContainerBadFdIsEBADF) {
  for (int fd : {-1, 1000, 0x7fffffff})
    EXPECT_ERR(EBADF, set_container(group, fd)) << fd;
  EXPECT_EQ(group_flags(group), kViable);
}

TEST_F(Group, SetContainerNotAContainerIsEBADFD) {
  Fd null = open_path("/dev/null");
  EXPECT_ERR(EBADFD, set_container(group, null));
  EXPECT_ERR(EBADFD, set_container(group, group));
  EXPECT_EQ(group_flags(group), kViable);
}

TEST_F(Group, SetContainerBadPointerIsEFAULT) {
  EXPECT_ERR(EFAULT, call(group, VFIO_GROUP_SET_CONTAINER, 8ul));
}

TEST_F(Group, SetContainerTwiceIsEINVAL) {
  ASSERT_OK(set_container(group, container));
  EXPECT_ERR(EINVAL, set_container(group, container));
  Fd other = open_container();
  EXPECT_ERR(EINVAL, set_container(group, other));
  EXPECT_ERR(EBADF, set_container(group, -1)) << "the fd is looked at first";
  EXPECT_EQ(group_flags(group), kViable | kSet);
}

TEST_F(Group, UnsetContainerNoneIsEINVAL) {
  EXPECT_ERR(EINVAL, unset_container(group));
  ASSERT_OK(set_container(group, container));
  EXPECT_OK(unset_container(group));
  EXPECT_ERR(EINVAL, unset_container(group));
}

TEST_F(Group, UnsetContainerWithDeviceOpenIsEBUSY) {
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  Fd device = get_device(group, edu.bdf);
  ASSERT_OK(device.get());
  EXPECT_ERR(EBUSY, unset_container(group));
  device.reset();
  EXPECT_OK(unset_container(group));
}

TEST_F(Group, MayMoveToAnotherContainer) {
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(unset_container(group));
  Fd other = open_container();
  ASSERT_OK(set_container(group, other));
  EXPECT_ERR(EINVAL, set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_OK(set_iommu(other, VFIO_TYPE1_IOMMU));
}

TEST_F(Group, LastGroupLeavingResetsContainer) {
  Memory m(4 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(map_dma(container, m.data(), kFirstIova, m.size()));
  EXPECT_EQ(locked_pages(), before + 4);
  ASSERT_OK(unset_container(group));
  EXPECT_EQ(locked_pages(), before) << "mappings go with the last group";
  EXPECT_ERR(EINVAL, map_dma(container, m.data(), kFirstIova, m.size()));

  // It may be set up again, with another type, and is empty.
  ASSERT_OK(set_container(group, container));
  EXPECT_ERR(EINVAL, map_dma(container, m.data(), kFirstIova, m.size()));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1_IOMMU));
  EXPECT_EQ(unmap_dma(container, 0, kFirstIova + kGiB).size, 0u);
  EXPECT_OK(map_dma(container, m.data(), kFirstIova, m.size()));
}

// --- device fds -----------------------------------------------------------

TEST_F(Group, DeviceBeforeContainerIsEINVAL) {
  EXPECT_ERR(EINVAL, get_device(group, edu.bdf).get());
}

TEST_F(Group, DeviceBeforeIommuIsEINVAL) {
  ASSERT_OK(set_container(group, container));
  EXPECT_ERR(EINVAL, get_device(group, edu.bdf).get());
}

TEST_F(Group, DeviceNames) {
  EXPECT_ERR(ENODEV, get_device(group, "0000:ff:1f.7").get())
      << "the name is looked up before the state is";
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  struct {
    const char* key;
    std::string name;
  } names[] = {
      {"empty", ""},
      {"junk", "no-such-device"},
      {"prefix", edu.bdf.substr(0, edu.bdf.size() - 1)},
      {"suffix", edu.bdf + "x"},
      {"option", edu.bdf + " junk=1"},
      {"token", edu.bdf + " vf_token=00112233-4455-6677-8899-aabbccddeeff"},
      {"bad_token", edu.bdf + " vf_token=zz"},
      {"long", std::string(4095, 'a')},
      {"too_long", std::string(5000, 'a')},
  };
  for (auto& n : names)
    observe_result(n.key, get_device(group, n.name).get() < 0
                              ? get_device(group, n.name).get()
                              : 0);
  EXPECT_ERR(ENODEV, get_device(group, "").get());
  EXPECT_ERR(ENODEV, get_device(group, edu.bdf + "x").get());
  EXPECT_ERR(EINVAL, get_device(group, std::string(5000, 'a')).get());
  EXPECT_ERR(EFAULT, call(group, VFIO_GROUP_GET_DEVICE_FD, 8ul));
}

TEST_F(Group, DeviceOfAnotherGroupIsENODEV) {
  REQUIRE_DEVICES(2);
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_ERR(ENODEV, get_device(group, lone_devices()[1].bdf).get());
}

TEST_F(Group, SeveralFdsOfOneDevice) {
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  Fd first = get_device(group, edu.bdf);
  Fd second = get_device(group, edu.bdf);
  ASSERT_OK(first.get());
  ASSERT_OK(second.get());
  EXPECT_TRUE(answers(first, edu));
  first.reset();
  EXPECT_TRUE(answers(second, edu)) << "the other lives on";
  EXPECT_ERR(EBUSY, unset_container(group));
  second.reset();
  EXPECT_OK(unset_container(group));
}

TEST_F(Group, DeviceFdIsReadWriteAndCloexec) {
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  Fd device = get_device(group, edu.bdf);
  ASSERT_OK(device.get());
  EXPECT_EQ(fcntl(device, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(device, F_GETFL) & O_ACCMODE, O_RDWR);
  char link[64] = {};
  std::string path = "/proc/self/fd/" + std::to_string(device.get());
  ASSERT_GT(readlink(path.c_str(), link, sizeof link - 1), 0);
  EXPECT_STREQ(link, "anon_inode:[vfio-device]");
}

TEST_F(Group, NoFdLeftWhenGetDeviceFails) {
  int before = dup(0);
  close(before);
  EXPECT_LT(get_device(group, edu.bdf).get(), 0);
  EXPECT_LT(get_device(group, "nothing").get(), 0);
  int after = dup(0);
  close(after);
  EXPECT_EQ(after, before);
}

TEST_F(Group, DeviceFdLimitIsEMFILE) {
  ASSERT_OK(set_container(group, container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  in_child([&] {
    std::vector<Fd> fill;
    while (true) {
      Fd fd(dup(0));
      if (!fd.valid()) break;
      fill.push_back(std::move(fd));
    }
    EXPECT_ERR(EMFILE, get_device(group, edu.bdf).get());
    fill.pop_back();
    EXPECT_OK(get_device(group, edu.bdf).get());
  });
  EXPECT_OK(unset_container(group)) << "the failed one holds nothing";
}

}  // namespace
}  // namespace stack
