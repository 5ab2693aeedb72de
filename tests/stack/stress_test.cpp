// SPDX-License-Identifier: GPL-2.0
//
// Many at once: threads and processes on one container, races for a group,
// processes killed inside an ioctl, large mappings. Afterwards pins and
// VmLck must balance, which the harness checks behind every test.
#include <sys/mman.h>

#include <atomic>
#include <random>
#include <thread>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x20000000;

using Stress = OneDevice;

TEST_F(Stress, ThreadsMapAndUnmapDisjointRanges) {
  Memory m(64 * kPage);
  m.touch(1);
  std::atomic<int> bad{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; i++) {
        uint64_t size = (1 + i % 16) * kPage;
        uint64_t iova = kIova + t * kHuge;
        if (map_dma(s.container(), m.at(t * 16 * kPage), iova, size)) bad++;
        if (unmap_dma(s.container(), iova, size).size != size) bad++;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(bad, 0);
  EXPECT_EQ(unmap_dma(s.container(), 0, 0, VFIO_DMA_UNMAP_FLAG_ALL).size, 0u);
}

TEST_F(Stress, ThreadsFightForOneRange) {
  Memory m(16 * kPage);
  uint64_t before = locked_pages();
  std::atomic<int> mapped{0}, unmapped{0}, odd{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&] {
      for (int i = 0; i < 150; i++) {
        long result = map_dma(s.container(), m.data(), kIova, m.size());
        if (result == 0)
          mapped++;
        else if (result != -EEXIST)
          odd++;
        Unmapped u = unmap_dma(s.container(), kIova, m.size());
        if (u.result == 0 && u.size == m.size())
          unmapped++;
        else if (u.result || u.size)
          odd++;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(odd, 0);
  EXPECT_EQ(mapped, unmapped);
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(Stress, ProcessesShareAContainer) {
  std::vector<std::unique_ptr<Child>> children;
  for (uint64_t p = 0; p < 4; p++)
    children.push_back(std::make_unique<Child>([&, p](Child&) {
      Memory m(32 * kPage);
      for (int i = 0; i < 50; i++) {
        ASSERT_OK(
            map_dma(s.container(), m.data(), kIova + p * kHuge, m.size()));
        EXPECT_EQ(locked_pages(), 32u);
        ASSERT_EQ(unmap_dma(s.container(), kIova + p * kHuge, m.size()).size,
                  m.size());
      }
      EXPECT_EQ(locked_pages(), 0u);
    }));
  for (auto& child : children) child->wait();
}

TEST(StressGroup, OneOpenWinsARace) {
  REQUIRE_DEVICES(1);
  PciDevice edu = lone_devices()[0];
  for (int round = 0; round < 20; round++) {
    std::atomic<int> won{0}, busy{0};
    std::atomic<bool> go{false};
    std::vector<Fd> fds(6);
    std::vector<std::thread> threads;
    for (Fd& fd : fds)
      threads.emplace_back([&] {
        while (!go) std::this_thread::yield();
        fd = open_group(edu);
        if (fd.valid())
          won++;
        else if (fd.get() == -EBUSY)
          busy++;
      });
    go = true;
    for (auto& thread : threads) thread.join();
    ASSERT_EQ(won, 1);
    ASSERT_EQ(busy, 5);
  }
}

TEST(StressGroup, AttachDetachStatusAtOnce) {
  REQUIRE_DEVICES(1);
  Fd c = open_container(), g = open_group(lone_devices()[0]);
  std::atomic<bool> stop{false};
  std::atomic<int> odd{0};
  std::thread looks([&] {
    while (!stop) {
      if (group_flags(g) < 0) odd++;
      call(c, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU);
      Fd d = get_device(g, lone_devices()[0].bdf);
    }
  });
  for (int i = 0; i < 60; i++) {
    if (set_container(g, c)) odd++;
    if (set_iommu(c, VFIO_TYPE1v2_IOMMU)) odd++;
    long result;
    // The other thread may have the device open just now.
    while ((result = unset_container(g)) == -EBUSY) std::this_thread::yield();
    if (result) odd++;
  }
  stop = true;
  looks.join();
  EXPECT_EQ(odd, 0);
}

TEST(StressKill, InTheMiddleOfMapping) {
  REQUIRE_DEVICES(1);
  PciDevice edu = lone_devices()[0];
  int64_t pins = outstanding_pins();
  std::minstd_rand random(20);  // the same delays in each run
  for (int round = 0; round < 12; round++) {
    Child child([&](Child& self) {
      Session s({edu});
      Memory m(3000 * kPage);
      m.touch(1);
      self.notify();
      while (true) {
        map_dma(s.container(), m.data(), kIova, m.size());
        unmap_dma(s.container(), kIova, m.size());
      }
    });
    ASSERT_TRUE(child.await());
    usleep(static_cast<useconds_t>(random() % 60000));
    child.kill();
    child.wait(SIGKILL);
    ASSERT_EQ(outstanding_pins(), pins) << "round " << round;
    ASSERT_OK(open_group(edu).get()) << "round " << round;
  }
}

TEST(StressKill, InTheMiddleOfClosing) {
  REQUIRE_DEVICES(1);
  PciDevice edu = lone_devices()[0];
  int64_t pins = outstanding_pins();
  Child child([&](Child& self) {
    Memory m(3000 * kPage);
    m.touch(1);
    self.notify();
    while (true) {
      Session s({edu});
      map_dma(s.container(), m.data(), kIova, m.size());
    }
  });
  ASSERT_TRUE(child.await());
  usleep(300000);
  child.kill();
  child.wait(SIGKILL);
  EXPECT_EQ(outstanding_pins(), pins);
  Session s({edu});
  EXPECT_TRUE(s.ok());
}

TEST_F(Stress, MunmapWhileMapping) {
  // Another thread pulls the memory away: the call ends well or with EFAULT.
  std::atomic<bool> stop{false};
  Memory m(512 * kPage);
  std::thread pulls([&] {
    while (!stop) {
      madvise(m.data(), m.size(), MADV_DONTNEED);
      mprotect(m.at(100 * kPage), 100 * kPage, PROT_NONE);
      std::this_thread::yield();
      mprotect(m.at(100 * kPage), 100 * kPage, PROT_READ | PROT_WRITE);
    }
  });
  int odd = 0;
  for (int i = 0; i < 100; i++) {
    long result = map_dma(s.container(), m.data(), kIova, m.size());
    if (result && result != -EFAULT) odd++;
    uint64_t size = unmap_dma(s.container(), kIova, m.size()).size;
    if (size != (result ? 0 : m.size())) odd++;
  }
  stop = true;
  pulls.join();
  EXPECT_EQ(odd, 0);
}

TEST_F(Stress, ThousandMappingsAtOnce) {
  Memory m(1000 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  for (uint64_t i = 0; i < 1000; i++)
    ASSERT_OK(map_dma(s.container(), m.at(i * kPage),
                      kIova + (999 - i) * 3 * kPage, kPage));
  EXPECT_EQ(locked_pages(), before + 1000);
  // Every third one goes singly, the rest by closing.
  for (uint64_t i = 0; i < 1000; i += 3)
    ASSERT_EQ(unmap_dma(s.container(), kIova + i * 3 * kPage, kPage).size,
              kPage);
  EXPECT_EQ(locked_pages(), before + 666);
}

TEST_F(Stress, LargeMapping) {
  constexpr uint64_t kSize = 192ull << 20;
  Memory m = Memory::aligned(kSize);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kGiB, kSize));
  EXPECT_EQ(locked_pages(), before + kSize / kPage);
  Edu edu(s.device());
  *m.at(kSize - 1) = 0x77;
  ASSERT_TRUE(edu.copy(kGiB + kSize / 2, kGiB + kSize - 1, 1));
  EXPECT_EQ(*m.at(kSize / 2), 0x77);
  EXPECT_EQ(unmap_dma(s.container(), kGiB, kSize).size, kSize);
  EXPECT_EQ(locked_pages(), before);
}

}  // namespace
}  // namespace stack
