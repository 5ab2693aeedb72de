// SPDX-License-Identifier: GPL-2.0
//
// Groups that are merged: one address space and one set of devices, with and
// without a container's file, with real DMA.
#include "merge.hpp"

#include <string.h>

#include <atomic>
#include <thread>

#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x30000000;
constexpr uint64_t kPages = 4;

// The edu devices' groups, open and not merged.
class Merge : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(3);
    edus = lone_devices();
    for (int i = 0; i < 3; i++) {
      groups.push_back(open_group(edus[i]));
      ASSERT_OK(groups[i].get());
    }
    ASSERT_EQ(call(groups[0], VFIO_CHECK_EXTENSION, VFIO_GROUP_MERGE_EXTENSION),
              1)
        << "groups cannot be merged";
    m.touch(1);
    before = locked_pages();
  }
  int group(int i) const { return groups[i]; }
  Fd device(int through, int of) {
    return get_device(groups[through], edus[of].bdf);
  }
  // Writes the page at `iova` through the device, and looks for it in memory.
  void expect_dma(Edu& edu, uint64_t iova, uint64_t offset, uint8_t value) {
    memset(m.at(0), value, 64);
    ASSERT_TRUE(edu.fetch(iova, 0, 64));
    memset(m.at(offset), 0, 64);
    ASSERT_TRUE(edu.store(iova + offset, 0, 64));
    EXPECT_EQ(*m.at(offset), value);
  }
  uint64_t charged() const { return locked_pages() - before; }

  std::vector<PciDevice> edus;
  std::vector<Fd> groups;
  Memory m{kPages * kPage};
  uint64_t before = 0;
};

// For the tests that have an edu read and write memory.
class MergeDma : public Merge {};

TEST_F(MergeDma, OneMappingForAllDevices) {
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(map_dma(group(0), m.data(), kIova, m.size()));
  ASSERT_OK(merge(group(0), group(1)));
  EXPECT_EQ(group_flags(group(0)), kMerged);
  EXPECT_EQ(group_flags(group(1)), kMerged);
  EXPECT_EQ(charged(), kPages) << "mapped once";
  // Each by the file of the other.
  Fd first = device(1, 0), second = device(0, 1);
  ASSERT_OK(first.get());
  ASSERT_OK(second.get());
  Edu a(first), b(second);
  ASSERT_TRUE(a.ok() && b.ok());
  expect_dma(a, kIova, kPage, 0x11);
  expect_dma(b, kIova, 2 * kPage, 0x22);

  // What is mapped by any file from now on reaches all as well.
  EXPECT_EQ(unmap_dma(group(1), kIova, m.size()).size, m.size());
  EXPECT_EQ(charged(), 0u);
  ASSERT_OK(map_dma(group(1), m.data(), kIova + kGiB, m.size()));
  expect_dma(a, kIova + kGiB, kPage, 0x33);
  expect_dma(b, kIova + kGiB, 2 * kPage, 0x44);
}

TEST_F(MergeDma, WhatIsTakenOutReachesNothing) {
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(group(0), group(1)));
  ASSERT_OK(map_dma(group(0), m.data(), kIova, m.size()));
  Fd open = device(0, 1);
  ASSERT_OK(open.get());
  EXPECT_ERR(EBUSY, unmerge(group(0), group(1))) << "its device is open";
  EXPECT_ERR(EBUSY, unmerge_number(group(1), edus[1].group));
  open.reset();
  ASSERT_OK(unmerge(group(0), group(1)));
  EXPECT_EQ(group_flags(group(1)), VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_EQ(group_flags(group(0)), kInContainer);
  EXPECT_ERR(ENODEV, device(0, 1).get());

  // Alone it has an address space of its own, which is empty.
  ASSERT_OK(set_iommu(group(1), VFIO_TYPE1v2_IOMMU));
  open = device(1, 1);
  ASSERT_OK(open.get());
  Edu alone(open);
  ASSERT_TRUE(alone.ok());
  memset(m.at(kPage), 0x55, 64);
  ASSERT_TRUE(alone.store(kIova + kPage, 0, 64));
  EXPECT_EQ(*m.at(kPage), 0x55) << "written from outside the set";

  Fd rest = device(0, 0);
  ASSERT_OK(rest.get());
  Edu inside(rest);
  expect_dma(inside, kIova, kPage, 0x66);
}

TEST_F(MergeDma, WhileTheMergerDoesDmaAndMaps) {
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(map_dma(group(0), m.data(), kIova, m.size()));
  Fd open = device(0, 0);
  ASSERT_OK(open.get());
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0}, maps{0}, dmas{0};
  std::thread mapper([&] {
    Memory more(16 * kPage);
    while (!stop || !maps) {
      if (map_dma(group(0), more.data(), kIova + kGiB, more.size())) bad++;
      if (unmap_dma(group(0), kIova + kGiB, more.size()).size != more.size())
        bad++;
      maps++;
    }
  });
  std::thread dma([&] {
    Edu edu(open);
    while (!stop || !dmas) {
      memset(m.at(0), ++dmas, 64);
      memset(m.at(kPage), 0, 64);
      if (!edu.copy(kIova + kPage, kIova, 64) || *m.at(kPage) != *m.at(0))
        bad++;
    }
  });
  for (int i = 0; i < 20; i++) {
    EXPECT_OK(merge(group(0), group(1)));
    EXPECT_OK(merge(group(1), group(2)));
    EXPECT_OK(unmerge(group(2), group(1)));
    EXPECT_OK(unmerge(group(0), group(2)));
  }
  stop = true;
  mapper.join();
  dma.join();
  EXPECT_EQ(bad, 0);
  observe("bad", bad);
}

TEST_F(Merge, WithAContainersFile) {
  Fd container = open_container();
  ASSERT_EQ(call(container, VFIO_CHECK_EXTENSION, VFIO_GROUP_MERGE_EXTENSION),
            1);
  ASSERT_OK(set_container(group(0), container));
  ASSERT_OK(set_container(group(1), container));
  ASSERT_OK(set_iommu(container, VFIO_TYPE1v2_IOMMU));
  EXPECT_ERR(EBUSY, merge(group(0), group(1)))
      << "a group that is in the container already";
  ASSERT_OK(merge(group(0), group(2)));
  EXPECT_ERR(EBUSY, set_container(group(2), container));
  EXPECT_ERR(EBUSY, unset_container(group(2)));
  EXPECT_ERR(EBUSY, unset_container(group(0)));
  EXPECT_ERR(ENODEV, device(1, 2).get()) << "that one is not merged";
  ASSERT_OK(map_dma(container, m.data(), kIova, m.size()));
  EXPECT_EQ(unmap_dma(group(2), kIova, m.size()).size, m.size())
      << "it is one container";
  groups.clear();
  EXPECT_ERR(EINVAL, map_dma(container, m.data(), kIova, m.size()));
}

TEST_F(Merge, Refusals) {
  Fd container = open_container(), memfd = make_memfd(kPage);
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  Fd open = device(0, 0);
  ASSERT_OK(open.get());
  EXPECT_ERR(EBADF, merge(group(0), -1));
  EXPECT_ERR(EBADF, merge(group(0), 9999));
  EXPECT_ERR(EINVAL, merge(group(0), container));
  EXPECT_ERR(EINVAL, merge(group(0), memfd));
  EXPECT_ERR(EINVAL, merge(group(0), open));
  EXPECT_ERR(EINVAL, merge(group(0), group(0)));
  EXPECT_ERR(EINVAL, merge_call(VFIO_GROUP_MERGE, group(0), group(1),
                                VFIO_GROUP_UNMERGE_NUMBER));
  EXPECT_ERR(EFAULT, call(group(0), VFIO_GROUP_MERGE,
                          reinterpret_cast<const void*>(8)));
  EXPECT_ERR(EBUSY, merge(group(1), group(0))) << "in use";
  EXPECT_ERR(EINVAL, unmerge(group(0), group(1))) << "no set";
  ASSERT_OK(merge(group(0), group(1)));
  EXPECT_ERR(EBUSY, merge(group(2), group(1))) << "a member";
  EXPECT_ERR(EINVAL, unmerge(group(0), group(2)));
  EXPECT_ERR(EINVAL, unmerge_number(group(0), edus[2].group));
  EXPECT_ERR(EINVAL, unmerge(group(2), group(0)));
  EXPECT_ERR(EBADF, unmerge(group(0), -1));
}

// Its IOMMU cannot take what is mapped: the hardware translates 39 bits.
TEST_F(Merge, IncompatibleIsEINVALAndChangesNothing) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  Fd emulated = open_path(dev.node());
  ASSERT_OK(emulated.get());
  ASSERT_OK(set_iommu(emulated, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(map_dma(emulated, m.data(), 1ull << 62, m.size()));
  EXPECT_ERR(EINVAL, merge(emulated, group(0)));
  EXPECT_EQ(group_flags(group(0)), VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_EQ(group_flags(emulated), kInContainer);
  EXPECT_EQ(unmap_dma(emulated, 1ull << 62, m.size()).size, m.size());
  EXPECT_OK(merge(emulated, group(0)));
}

TEST_F(MergeDma, EmulatedAndHardware) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  Fd emulated = open_path(dev.node());
  ASSERT_OK(emulated.get());
  ASSERT_OK(set_iommu(emulated, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(map_dma(emulated, m.data(), kIova, m.size()));
  Fd copier = get_device(emulated, dev.name());
  ASSERT_OK(copier.get());
  EXPECT_EQ(pin(copier, kIova, 1), 1);
  EXPECT_EQ(charged(), 1u) << "only what it pins";
  ASSERT_OK(merge(emulated, group(0)));
  EXPECT_EQ(charged(), kPages) << "hardware has all of it pinned";
  Fd open = get_device(emulated, edus[0].bdf);
  ASSERT_OK(open.get());
  {
    Edu edu(open);
    expect_dma(edu, kIova, kPage, 0x77);
  }
  const uint8_t byte = 0x88;
  EXPECT_OK(dma_write(copier, kIova + kPage, &byte, 1));
  EXPECT_EQ(*m.at(kPage), byte);
  open.reset();
  ASSERT_OK(unmerge_number(emulated, edus[0].group));
  EXPECT_EQ(charged(), 1u);
  EXPECT_OK(unpin(copier, kIova, 1));
}

TEST_F(Merge, AMemberWhoseFileIsClosed) {
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(group(0), group(1)));
  groups[1].reset();
  EXPECT_ERR(EBUSY, open_group(edus[1]).get());
  Fd open = device(0, 1);
  ASSERT_OK(open.get());
  EXPECT_TRUE(answers(open, edus[1]));
  open.reset();
  ASSERT_OK(unmerge_number(group(0), edus[1].group));
  groups[1] = open_group(edus[1]);
  EXPECT_EQ(group_flags(group(1)), VFIO_GROUP_FLAGS_VIABLE);
}

TEST_F(MergeDma, TheLastFileEndsTheSet) {
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(group(0), group(1)));
  ASSERT_OK(merge(group(0), group(2)));
  ASSERT_OK(map_dma(group(0), m.data(), kIova, m.size()));
  Fd open = device(0, 2);
  ASSERT_OK(open.get());
  groups.clear();
  EXPECT_EQ(charged(), kPages) << "a device is open";
  {
    Edu edu(open);
    expect_dma(edu, kIova, kPage, 0x99);
  }
  open.reset();
  EXPECT_EQ(charged(), 0u);
  for (const PciDevice& edu : edus) {
    Fd again = open_group(edu);
    EXPECT_EQ(group_flags(again), VFIO_GROUP_FLAGS_VIABLE) << edu.bdf;
  }
}

// Holding the files is all it takes, and they may come over a socket.
TEST_F(Merge, UnprivilegedByFilesFromASocket) {
  Child user(
      [&](Child& self) {
        Fd a = self.receive_fd(), b = self.receive_fd();
        ASSERT_OK(set_iommu(a, VFIO_TYPE1v2_IOMMU));
        Memory mine(kPage);
        ASSERT_OK(map_dma(a, mine.data(), kIova, mine.size()));
        ASSERT_OK(merge(a, b));
        Fd open = get_device(a, edus[1].bdf);
        ASSERT_OK(open.get());
        self.notify();
        ASSERT_TRUE(self.await());
      },
      {.drop_user = true, .memlock = 16 * kPage});
  user.send_fd(group(0));
  user.send_fd(group(1));
  ASSERT_TRUE(user.await());
  EXPECT_ERR(EPERM, merge(group(0), group(2)))
      << "the mappings are another process's";
  user.notify();
  user.wait();
  EXPECT_EQ(group_flags(group(1)), kMerged) << "we hold the files, too";
  ASSERT_OK(map_dma(group(0), m.data(), kIova + kGiB, m.size()));
  EXPECT_OK(merge(group(0), group(2))) << "the latest mapping is ours";
}

TEST_F(Merge, TheProcessDies) {
  Child victim([&](Child& self) {
    ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
    ASSERT_OK(map_dma(group(0), m.data(), kIova, m.size()));
    ASSERT_OK(merge(group(0), group(1)));
    ASSERT_OK(merge(group(1), group(2)));
    Fd open = device(0, 2);
    ASSERT_OK(open.get());
    self.notify();
    pause();
  });
  ASSERT_TRUE(victim.await());
  groups.clear();
  victim.kill();
  victim.wait(SIGKILL);
  for (const PciDevice& edu : edus) {
    Fd again = open_group(edu);
    EXPECT_EQ(group_flags(again), VFIO_GROUP_FLAGS_VIABLE) << edu.bdf;
  }
}

TEST_F(Merge, HotUnplugOfAMember) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  Fd emulated = open_path(dev.node());
  ASSERT_OK(emulated.get());
  ASSERT_OK(set_iommu(group(0), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(group(0), emulated));
  Fd open = get_device(group(0), dev.name());
  ASSERT_OK(open.get());
  std::thread unplug([&] { EXPECT_OK(dev.destroy()); });
  while (get_device(group(0), dev.name()).get() != -ENODEV) usleep(1000);
  open.reset();
  unplug.join();
  EXPECT_EQ(group_flags(group(0)), kInContainer) << "alone again";
  EXPECT_EQ(group_flags(emulated), -ENODEV);
  EXPECT_ERR(EINVAL, unmerge(group(0), emulated));
  EXPECT_OK(merge(group(0), group(1)));
}

TEST_F(Merge, Threads) {
  std::atomic<bool> stop{false};
  std::atomic<int> merges{0}, opens{0};
  std::vector<std::thread> threads;
  const auto until_stop = [&](auto body) {
    threads.emplace_back([&, body] {
      for (unsigned i = 0; !stop; i++) body(i);
    });
  };
  until_stop([&](unsigned i) {
    merges += merge(group(i % 3), group(i / 3 % 3)) == 0;
  });
  until_stop([&](unsigned i) { unmerge(group(i % 3), group(i / 3 % 3)); });
  until_stop([&](unsigned i) {
    set_iommu(group(i % 3), VFIO_TYPE1v2_IOMMU);
    unset_container(group(i / 3 % 3));
  });
  until_stop([&](unsigned i) {
    if (map_dma(group(i % 3), m.data(), kIova, m.size()) == 0)
      unmap_dma(group(i % 3), kIova, m.size());
  });
  until_stop([&](unsigned i) { opens += device(i % 3, i / 3 % 3).get() >= 0; });
  while (merges < 50 || opens < 20) usleep(1000);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  groups.clear();
  EXPECT_EQ(charged(), 0u);
}

}  // namespace
}  // namespace stack
