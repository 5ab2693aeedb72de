// SPDX-License-Identifier: GPL-2.0
//
// UNMAP_DMA while a mediated device has pages pinned: the device is asked to
// let go, by the exact range, and the unmap succeeds once it did.
#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x10000000;

class EmulatedUnmap : public OneTestdev {
 protected:
  void expect_events(const std::vector<std::pair<uint64_t, uint64_t>>& want,
                     size_t device = 0) {
    auto got = unmap_events(s->device(device));
    ASSERT_EQ(got.size(), want.size()) << "number of dma_unmap() calls";
    for (size_t i = 0; i < got.size(); i++) {
      EXPECT_EQ(got[i].iova, want[i].first) << "call " << i;
      EXPECT_EQ(got[i].size, want[i].second) << "call " << i;
    }
  }
};

TEST_F(EmulatedUnmap, PinnedPagesAreAskedFor) {
  Memory m(16 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova + 3 * kPage, 2), 2);
  Unmapped u = unmap_dma(s->container(), kIova, m.size());
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, m.size());
  expect_events({{kIova, m.size()}});
  EXPECT_EQ(locked_pages(), before);
  EXPECT_ERR(EINVAL, pin(s->device(), kIova + 3 * kPage, 1));
  EXPECT_ERR(ENOENT, unpin(s->device(), kIova + 3 * kPage, 1))
      << "the device gave it back itself";
}

TEST_F(EmulatedUnmap, WithoutPinsNobodyIsAsked) {
  Memory m(16 * kPage);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_OK(unmap_dma(s->container(), kIova, m.size()).result);
  expect_events({});
}

TEST_F(EmulatedUnmap, OnlyMappingsInTheRangeAreAskedFor) {
  Memory m(8 * kPage);
  m.touch(1);
  for (uint64_t i = 0; i < 4; i++)
    ASSERT_OK(map_dma(s->container(), m.at(2 * i * kPage),
                      kIova + 2 * i * kPage, 2 * kPage));
  ASSERT_EQ(pin(s->device(), kIova, 8), 8);
  Unmapped u = unmap_dma(s->container(), kIova + 2 * kPage, 4 * kPage);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 4 * kPage);
  expect_events(
      {{kIova + 2 * kPage, 2 * kPage}, {kIova + 4 * kPage, 2 * kPage}});
  EXPECT_OK(unpin(s->device(), kIova, 2)) << "the first is still pinned";
  EXPECT_OK(unpin(s->device(), kIova + 6 * kPage, 2)) << "and the last";
}

TEST_F(EmulatedUnmap, ARefusedUnmapAsksNobody) {
  Memory m(8 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 8), 8);
  EXPECT_ERR(EINVAL, unmap_dma(s->container(), kIova, 4 * kPage).result)
      << "bisects";
  EXPECT_ERR(EINVAL, unmap_dma(s->container(), kIova + kPage, 7 * kPage).result)
      << "bisects at the front";
  expect_events({});
  EXPECT_OK(unpin(s->device(), kIova, 8)) << "all are still pinned";
}

TEST_F(EmulatedUnmap, AllPinnedSeveralTimes) {
  Memory m(8 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, 4 * kPage));
  ASSERT_OK(map_dma(s->container(), m.at(4 * kPage), 0, 4 * kPage));
  for (int i = 0; i < 3; i++) {
    ASSERT_EQ(pin(s->device(), kIova, 4), 4);
    ASSERT_EQ(pin(s->device(), 0, 4), 4);
  }
  Unmapped u = unmap_dma(s->container(), 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 8 * kPage);
  expect_events({{0, 4 * kPage}, {kIova, 4 * kPage}});
  EXPECT_EQ(locked_pages(), before);
}

// A driver may unpin from another thread while its callback waits for it, so
// no lock that an unpin takes is held across the callback.
TEST_F(EmulatedUnmap, UnpinnedByAWorker) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  set_policy(s->device(), VFIO_TESTDEV_UNPIN_WORKER);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 4), 4);
  EXPECT_OK(unmap_dma(s->container(), kIova, m.size()).result);
  expect_events({{kIova, m.size()}});
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedUnmap, AskedAgainUntilItLetsGo) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  set_policy(s->device(), VFIO_TESTDEV_UNPIN_LATER, 3);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 4), 4);
  Unmapped u = unmap_dma(s->container(), kIova, m.size());
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, m.size());
  expect_events({{kIova, m.size()},
                 {kIova, m.size()},
                 {kIova, m.size()},
                 {kIova, m.size()}});
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedUnmap, ClosingTheDeviceUnpins) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 4), 4);
  EXPECT_EQ(locked_pages(), before + 4);
  s->device_fd().reset();
  EXPECT_EQ(dev->stats().closes, 1u);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_OK(unmap_dma(s->container(), kIova, m.size()).result)
      << "the mapping stays as long as the group";
}

TEST_F(EmulatedUnmap, VaddrUpdateIsRefused) {
  Memory m(4 * kPage);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EBUSY, unmap_dma(s->container(), kIova, m.size(),
                              VFIO_DMA_UNMAP_FLAG_VADDR)
                        .result);
  EXPECT_ERR(EBUSY,
             unmap_dma(s->container(), 0, 0,
                       VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_ALL)
                 .result);
  EXPECT_EQ(call(s->container(), VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 0);
  EXPECT_EQ(call(s->container(), VFIO_CHECK_EXTENSION, VFIO_UNMAP_ALL), 1);
  m.touch(1);
  EXPECT_EQ(pin(s->device(), kIova, 4), 4) << "nothing changed";
}

TEST(EmulatedUnmapTwo, EveryDeviceOfTheContainerIsAsked) {
  Testdev a, b, quiet({.kind = VFIO_TESTDEV_NO_UNMAP});
  ASSERT_TRUE(a.ok() && b.ok() && quiet.ok());
  TestdevSession s({&a, &b, &quiet});
  ASSERT_TRUE(s.ok());
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  std::vector<uint64_t> from_a, from_b;
  ASSERT_EQ(pin(s.device(0), kIova, 4, kRead, 0, &from_a), 4);
  ASSERT_EQ(pin(s.device(1), kIova, 4, kRead, 0, &from_b), 4);
  EXPECT_EQ(from_a, from_b) << "one memory, one set of frames";
  EXPECT_EQ(locked_pages(), before + 4) << "accounted once for both";
  EXPECT_OK(unpin(s.device(0), kIova, 4));
  EXPECT_EQ(locked_pages(), before + 4) << "the other device still pins";

  EXPECT_OK(unmap_dma(s.container(), kIova, m.size()).result);
  for (size_t i = 0; i < 2; i++) {
    auto events = unmap_events(s.device(i));
    ASSERT_EQ(events.size(), 1u) << "device " << i;
    EXPECT_EQ(events[0].iova, kIova);
    EXPECT_EQ(events[0].size, m.size());
  }
  EXPECT_EQ(locked_pages(), before);
}

// Nothing of a device that has closed is called.
TEST(EmulatedUnmapTwo, AClosedDeviceIsNotAsked) {
  Testdev a, b;
  ASSERT_TRUE(a.ok() && b.ok());
  TestdevSession s({&a, &b});
  ASSERT_TRUE(s.ok());
  Memory m(4 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s.device(0), kIova, 4), 4);
  s.device_fd(1).reset();
  EXPECT_OK(unmap_dma(s.container(), kIova, m.size()).result);
  EXPECT_EQ(a.stats().unmaps, 1u);
  EXPECT_EQ(b.stats().unmaps, 0u);
}

// The end of the address space. Without hardware no aperture forbids it.
constexpr uint64_t kTopSize = 4 * kPage;
constexpr uint64_t kTop = 0 - kTopSize;  // its last byte is U64_MAX

TEST_F(EmulatedUnmap, MappingOfTheLastAddress) {
  Memory m(kTopSize);
  m.touch(3);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kTop, kTopSize));
  EXPECT_ERR(EEXIST, map_dma(s->container(), m.data(), kTop, kTopSize));
  EXPECT_ERR(EEXIST,
             map_dma(s->container(), m.data(), kTop + 3 * kPage, kPage));
  std::vector<uint64_t> pfns;
  EXPECT_EQ(pin(s->device(), kTop, 4, kRead, 0, &pfns), 4);
  for (size_t i = 0; i < pfns.size(); i++)
    EXPECT_EQ(pfns[i], pfn_of(m.at(i * kPage))) << "page " << i;
  char byte = 0;
  EXPECT_OK(dma_read(s->device(), ~0ull, &byte, 1)) << "the last byte of all";
  EXPECT_ERR(EOVERFLOW, pin(s->device(), kTop + 3 * kPage, 2))
      << "past the end";
  EXPECT_EQ(locked_pages(), before + 4);
  Unmapped u = unmap_dma(s->container(), kTop, kTopSize);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, kTopSize);
  expect_events({{kTop, kTopSize}});
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedUnmap, AllWithTheLastAddress) {
  Memory m(kTopSize);
  m.touch(3);
  ASSERT_OK(map_dma(s->container(), m.data(), kTop, kTopSize));
  ASSERT_OK(map_dma(s->container(), m.data(), 0, kTopSize));
  EXPECT_EQ(pin(s->device(), kTop, 4), 4);
  Unmapped u = unmap_dma(s->container(), 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 2 * kTopSize);
  expect_events({{kTop, kTopSize}});
}

TEST_F(EmulatedUnmap, DirtyBitmapOfTheLastAddress) {
  Memory m(kTopSize);
  m.touch(3);
  ASSERT_OK(map_dma(s->container(), m.data(), kTop, kTopSize));
  ASSERT_OK(dirty_start(s->container()));
  EXPECT_EQ(pin(s->device(), kTop + kPage, 1), 1);
  EXPECT_EQ(dirty_pages(s->container(), kTop, 4).text(), "1");
  char byte = 1;
  EXPECT_OK(dma_write(s->device(), ~0ull, &byte, 1));
  EXPECT_EQ(dirty_pages(s->container(), kTop, 4).text(), "1,3");
}

TEST_F(EmulatedUnmap, MappingPastTheLastAddressIsRefused) {
  Memory m(kTopSize);
  EXPECT_ERR(EOVERFLOW,
             map_dma(s->container(), m.data(), kTop + kPage, kTopSize));
  EXPECT_ERR(EINVAL, pin(s->device(), kTop + kPage, 1)) << "nothing is mapped";
}

}  // namespace
