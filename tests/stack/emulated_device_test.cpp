// SPDX-License-Identifier: GPL-2.0
//
// The core's part of a device fd: open, match, device sets, failures of the
// driver's callbacks, and the way through to its operations.
#include <dirent.h>
#include <string.h>

#include "testdev.hpp"

using namespace stack;

namespace {

int count_entries(const std::string& path) {
  int count = 0;
  DIR* dir = opendir(path.c_str());
  while (dirent* entry = dir ? readdir(dir) : nullptr)
    count += entry->d_name[0] != '.';
  if (dir) closedir(dir);
  return count;
}

class EmulatedDevice : public OneTestdev {};

TEST_F(EmulatedDevice, ReadAndWriteReachTheDriver) {
  const char text[] = "through the core";
  ASSERT_EQ(pwrite(s->device(), text, sizeof text, 100),
            static_cast<ssize_t>(sizeof text));
  char back[sizeof text] = {};
  ASSERT_EQ(pread(s->device(), back, sizeof back, 100),
            static_cast<ssize_t>(sizeof back));
  EXPECT_STREQ(back, text);
  EXPECT_EQ(pread(s->device(), back, sizeof back, VFIO_TESTDEV_REGION_SIZE), 0)
      << "the driver's answer past its region";
  EXPECT_EQ(pread(s->device(), back, 8, VFIO_TESTDEV_REGION_SIZE - 4), 4)
      << "short at the end";
}

TEST_F(EmulatedDevice, MmapReachesTheDriver) {
  {
    Memory region(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, s->device());
    ASSERT_TRUE(region.ok()) << errno_name(-errno);
    strcpy(reinterpret_cast<char*>(region.at(8)), "mapped");
    char back[7] = {};
    ASSERT_EQ(pread(s->device(), back, 7, 8), 7);
    EXPECT_STREQ(back, "mapped") << "one page, two ways to it";
    s->device_fd().reset();
    EXPECT_EQ(region.data()[8], 'm') << "the mapping outlives the fd";
    EXPECT_EQ(dev->stats().closes, 0u) << "and keeps the device open";
  }
  EXPECT_EQ(dev->stats().closes, 1u);
  Fd device = get_device(s->group(), dev->name());
  ASSERT_OK(device.get());
  Memory beyond(kPage, PROT_READ, MAP_SHARED, device, kPage);
  EXPECT_FALSE(beyond.ok());
  EXPECT_EQ(errno, ENXIO) << "the driver's answer to offset and size";
}

TEST_F(EmulatedDevice, IoctlsReachTheDriverUntouched) {
  for (unsigned long value : {0ul, 1ul, 0x12345678ul, 0x7ffffffful})
    EXPECT_EQ(call(s->device(), VFIO_TESTDEV_ECHO, value),
              static_cast<long>(value));
  EXPECT_ERR(ENOTTY, call(s->device(), _IO(0xB7, 0xff), 0ul))
      << "the driver's answer to what it does not know";
}

TEST_F(EmulatedDevice, IoctlsOfThirtyTwoBitsReachItToo) {
  EXPECT_EQ(compat_call(s->device(), VFIO_TESTDEV_ECHO, 77), 77);
}

TEST_F(EmulatedDevice, DriversOwnFeature) {
  constexpr uint32_t kNumber = VFIO_TESTDEV_FEATURE;
  uint64_t value = 0x1122334455667788;
  EXPECT_OK(feature(s->device(), kNumber | VFIO_DEVICE_FEATURE_SET, &value,
                    sizeof value));
  value = 0;
  EXPECT_OK(feature(s->device(), kNumber | VFIO_DEVICE_FEATURE_GET, &value,
                    sizeof value));
  EXPECT_EQ(value, 0x1122334455667788u);
  EXPECT_OK(feature(s->device(),
                    kNumber | VFIO_DEVICE_FEATURE_PROBE |
                        VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
                    nullptr, 0));
  EXPECT_ERR(EINVAL, feature(s->device(), kNumber | VFIO_DEVICE_FEATURE_GET,
                             &value, sizeof value, 15))
      << "the size of its data counts from the end of the header";
}

TEST_F(EmulatedDevice, MatchIsTheDrivers) {
  auto open = [&](const std::string& name) {
    return get_device(s->group(), name);
  };
  EXPECT_OK(open(dev->name()).get());
  EXPECT_OK(open(dev->name() + ",tag").get()) << "its argument";
  EXPECT_ERR(EILSEQ, open(dev->name() + ",bad").get())
      << "an argument that it refuses";
  EXPECT_ERR(ENODEV, open(dev->name() + ",other").get());
  EXPECT_ERR(ENODEV, open("").get());
  EXPECT_ERR(ENODEV, open("0000:00:04.0").get());
  EXPECT_ERR(EFAULT, call(s->group(), VFIO_GROUP_GET_DEVICE_FD,
                          reinterpret_cast<const void*>(8)));
  std::string huge(2 * kPage, 'x');
  EXPECT_ERR(EINVAL, open(huge).get()) << "no end within a page";
}

TEST(EmulatedKinds, WithoutMatchTheNameIsTheDevices) {
  Testdev dev({.kind = VFIO_TESTDEV_NO_UNMAP});
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  EXPECT_ERR(ENODEV, get_device(s.group(), dev.name() + ",tag").get());
  EXPECT_ERR(ENODEV, get_device(s.group(), dev.name().substr(0, 5)).get());
}

TEST(EmulatedKinds, CallbacksThatAreNotThere) {
  Testdev dev({.kind = VFIO_TESTDEV_BARE});
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok()) << "neither open_device() nor close_device() is needed";
  char byte = 0;
  EXPECT_EQ(pread(s.device(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(pwrite(s.device(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, EINVAL);
  Memory m(kPage, PROT_READ, MAP_SHARED, s.device());
  EXPECT_FALSE(m.ok());
  EXPECT_EQ(errno, EINVAL);
  EXPECT_ERR(EINVAL, call(s.device(), VFIO_TESTDEV_ECHO, 1ul));
  EXPECT_ERR(ENOTTY,
             feature(s.device(), VFIO_TESTDEV_FEATURE | VFIO_DEVICE_FEATURE_GET,
                     nullptr, 0));
  s.device_fd().reset();
  EXPECT_OK(dev.destroy());
}

TEST_F(EmulatedDevice, OpenThatFailsLeavesNothingBehind) {
  s->device_fd().reset();
  for (int error : {ENXIO, EBUSY, ENOMEM}) {
    dev->fail_open(error);
    EXPECT_ERR(error, get_device(s->group(), dev->name()).get());
  }
  EXPECT_EQ(dev->stats().open_failures, 3u);
  EXPECT_EQ(dev->stats().closes, 1u) << "a failed open is not closed";
  dev->fail_open(0);
  Fd device = get_device(s->group(), dev->name());
  ASSERT_OK(device.get());
  EXPECT_ERR(EBUSY, unset_container(s->group())) << "one user: the device fd";
  device.reset();
  EXPECT_OK(unset_container(s->group())) << "no user was left behind";
}

TEST_F(EmulatedDevice, NoFreeDescriptor) {
  s->device_fd().reset();
  in_child([&] {
    std::vector<Fd> fill;
    for (int fd; (fd = dup(0)) >= 0;) fill.emplace_back(fd);
    EXPECT_ERR(EMFILE, get_device(s->group(), dev->name()).get());
  });
  EXPECT_EQ(dev->stats().opens, 1u) << "the driver was not bothered";
  EXPECT_OK(unset_container(s->group()));
}

TEST_F(EmulatedDevice, SeveralFdsOpenTheDeviceOnce) {
  Fd second = get_device(s->group(), dev->name());
  Fd third = get_device(s->group(), dev->name());
  ASSERT_TRUE(second.valid() && third.valid());
  EXPECT_EQ(fcntl(third, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(dev->stats().opens, 1u);
  vfio_testdev_set set{};
  ASSERT_OK(call(third, VFIO_TESTDEV_SET, &set));
  EXPECT_EQ(set.open_count, 3u);
  EXPECT_EQ(set.device_count, 1u) << "a set of its own";
  s->device_fd().reset();
  second.reset();
  EXPECT_EQ(dev->stats().closes, 0u);
  third.reset();
  EXPECT_EQ(dev->stats().closes, 1u) << "the last one closes it";
}

TEST_F(EmulatedDevice, NeedsAContainerWithAnIommu) {
  s->device_fd().reset();
  ASSERT_OK(unset_container(s->group()));
  EXPECT_ERR(EINVAL, get_device(s->group(), dev->name()).get());
  Fd container = open_container();
  ASSERT_OK(set_container(s->group(), container));
  EXPECT_ERR(EINVAL, get_device(s->group(), dev->name()).get());
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_OK(get_device(s->group(), dev->name()).get());
}

TEST(EmulatedSets, OpenCountsOfASharedSet) {
  Testdev a({.set = 1}), b({.set = 1}), other({.set = 2});
  ASSERT_TRUE(a.ok() && b.ok() && other.ok());
  TestdevSession s({&a, &b, &other});
  ASSERT_TRUE(s.ok());
  auto set_of = [](int device) {
    vfio_testdev_set set{};
    EXPECT_OK(call(device, VFIO_TESTDEV_SET, &set));
    return set;
  };
  EXPECT_EQ(set_of(s.device(0)).device_count, 2u);
  EXPECT_EQ(set_of(s.device(0)).open_count, 2u);
  EXPECT_EQ(set_of(s.device(2)).device_count, 1u);
  EXPECT_EQ(set_of(s.device(2)).open_count, 1u);
  Fd again = get_device(s.group(1), b.name());
  EXPECT_EQ(set_of(s.device(0)).open_count, 3u) << "b is open twice";
  again.reset();
  s.device_fd(1).reset();
  EXPECT_EQ(set_of(s.device(0)).open_count, 1u);
  EXPECT_OK(b.destroy());
  EXPECT_EQ(set_of(s.device(0)).device_count, 1u) << "b left the set";
  Testdev late({.set = 1});
  ASSERT_TRUE(late.ok());
  EXPECT_EQ(set_of(s.device(0)).device_count, 2u);
}

TEST(EmulatedSets, InitThatFailsLeavesTheSet) {
  int groups = count_entries("/sys/kernel/iommu_groups");
  Testdev a({.set = 3});
  ASSERT_TRUE(a.ok());
  for (int i = 0; i < 3; i++) {
    Testdev failed({.set = 3, .init_errno = -ENOSPC});
    EXPECT_ERR(ENOSPC, failed.result());
  }
  TestdevSession s({&a});
  ASSERT_TRUE(s.ok());
  vfio_testdev_set set{};
  ASSERT_OK(call(s.device(), VFIO_TESTDEV_SET, &set));
  EXPECT_EQ(set.device_count, 1u);
  EXPECT_EQ(count_entries("/sys/kernel/iommu_groups"), groups + 1)
      << "a device that failed has no group";
}

TEST(EmulatedKinds, SysfsFollowsTheDevice) {
  std::string node, name;
  int devices = count_entries("/sys/class/vfio-dev");
  {
    Testdev dev;
    ASSERT_TRUE(dev.ok());
    node = dev.node();
    name = read_text("/sys/kernel/iommu_groups/" + node.substr(10) + "/name");
    EXPECT_TRUE(exists(node));
    EXPECT_EQ(count_entries("/sys/class/vfio-dev"), devices + 1);
    EXPECT_TRUE(exists("/sys/class/vfio/" + node.substr(10)));
    EXPECT_EQ(
        count_entries("/sys/devices/platform/" + dev.name() + "/vfio-dev"), 1)
        << "the vfio device is a child of its parent";
  }
  observe("group_name", name);
  EXPECT_FALSE(exists(node));
  EXPECT_EQ(count_entries("/sys/class/vfio-dev"), devices);
}

}  // namespace
