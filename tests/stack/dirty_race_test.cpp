// SPDX-License-Identifier: GPL-2.0
//
// Dirty reports that are stopped while they write the bitmap, and what others
// do to the same container meanwhile: they may map, unmap and stop tracking
// between two pieces of a report. The stock modules hold their lock over the
// copy, so that nothing comes in between there.
#include <string.h>

#include <thread>

#include "stopping_memory.hpp"
#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x10000000;
constexpr const char* kWhy = "it holds its lock over the copy to userspace";

// Bits of a page of bitmap.
constexpr uint64_t kBits = kPage * 8;
constexpr uint8_t kCanary = 0x55;

struct Get {
  uint32_t argsz = sizeof(Get);
  uint32_t flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  uint64_t iova = kIova, size, pgsize = kPage, bytes, data;
};

struct Unmap {
  uint32_t argsz = sizeof(Unmap);
  uint32_t flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  uint64_t iova = kIova, size, pgsize = kPage, bytes, data;
};

// Runs an ioctl whose bitmap begins in `bits`. When it is stopped at the first
// page, calls meanwhile(), and lets it go on; other pages have the canary.
// Returns the ioctl's result.
template <typename Arg>
long with_stop(int container, unsigned long request, Arg& arg, uint64_t npages,
               StoppingMemory& bits, const std::function<void()>& meanwhile) {
  uint8_t canary[kPage];
  memset(canary, kCanary, sizeof canary);
  for (size_t at = kPage; at < bits.size(); at += kPage)
    EXPECT_OK(bits.let_go(at, canary));
  arg.size = npages * kPage;
  arg.bytes = (npages + 63) / 64 * 8;
  arg.data = reinterpret_cast<uint64_t>(bits.at(0));

  long result = -1;
  std::thread stopped([&] { result = call(container, request, &arg); });
  EXPECT_EQ(bits.wait_touched(), std::optional<size_t>(0));
  meanwhile();
  EXPECT_OK(bits.let_go(0));
  stopped.join();
  return result;
}

uint64_t word(const StoppingMemory& bits, uint64_t index) {
  uint64_t value;
  memcpy(&value, bits.at(index * 8), sizeof value);
  return value;
}

constexpr uint64_t kCanaryWord = 0x5555555555555555;

class DirtyRace : public OneDevice {
 protected:
  void SetUp() override {
    OneDevice::SetUp();
    if (HasFatalFailure()) return;
    m = Memory(2048 * kPage);
    ASSERT_OK(dirty_start(s.container()));
  }
  void map(uint64_t first, uint64_t npages) {
    EXPECT_OK(map_dma(s.container(), m.data(), kIova + first * kPage,
                      npages * kPage));
  }
  void unmap(uint64_t first, uint64_t npages) {
    EXPECT_EQ(
        unmap_dma(s.container(), kIova + first * kPage, npages * kPage).size,
        npages * kPage);
  }
  Memory m;
};

// The second piece ends where the request does, although the mapping does not.
TEST_F(DirtyRace, ALongerMappingTakesTheLastOnesPlace) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits;
  for (uint64_t npages : {65u, 320u, 2000u}) {
    StoppingMemory bits(4);
    Get get;
    map(0, 1);
    map(kLast, 1);
    EXPECT_OK(with_stop(s.container(), VFIO_IOMMU_DIRTY_PAGES, get, kLast + 64,
                        bits, [&] {
                          unmap(kLast, 1);
                          map(kLast, npages);
                        }));
    EXPECT_EQ(word(bits, 0), 1u);
    EXPECT_EQ(word(bits, kLast / 64), ~0ull) << "of the new mapping";
    for (uint64_t i = kLast / 64 + 1; i < 4 * kPage / 8; i++)
      ASSERT_EQ(word(bits, i), kCanaryWord) << i << ", behind the bitmap";
    unmap(0, 1);
    unmap(kLast, npages);
  }
}

// Whole words of ones are written another way, and neighbours as one.
TEST_F(DirtyRace, ManyMappingsTakeTheLastOnesPlace) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits, kNew = 10, kEach = 200;
  StoppingMemory bits(4);
  Get get;
  map(0, 1);
  map(kLast, 1);
  EXPECT_OK(with_stop(s.container(), VFIO_IOMMU_DIRTY_PAGES, get, kLast + 1088,
                      bits, [&] {
                        unmap(kLast, 1);
                        for (uint64_t i = 0; i < kNew; i++)
                          map(kLast + i * kEach, kEach);
                      }));
  for (uint64_t i = 0; i < 1088 / 64; i++)
    EXPECT_EQ(word(bits, kLast / 64 + i), ~0ull) << i;
  for (uint64_t i = (kLast + 1088) / 64; i < 4 * kPage / 8; i++)
    ASSERT_EQ(word(bits, i), kCanaryWord) << i << ", behind the bitmap";
}

// Of a mapping that begins before the part still to be reported only that part
// is reported: the words before it have been written.
TEST_F(DirtyRace, AMappingThatBeginsEarlierTakesTheLastOnesPlace) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits;
  StoppingMemory bits(4);
  Get get;
  map(0, 1);
  map(kLast, 64);
  EXPECT_OK(with_stop(s.container(), VFIO_IOMMU_DIRTY_PAGES, get, kLast + 64,
                      bits, [&] {
                        unmap(kLast, 64);
                        map(kLast - 1024, 2048);
                      }));
  EXPECT_EQ(word(bits, kLast / 64 - 1), kCanaryWord);
  EXPECT_EQ(word(bits, kLast / 64), ~0ull);
  EXPECT_EQ(word(bits, kLast / 64 + 1), kCanaryWord);
}

TEST_F(DirtyRace, TheLastMappingGoes) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits;
  StoppingMemory bits(4);
  Get get;
  map(0, 1);
  map(kLast, 64);
  EXPECT_OK(with_stop(s.container(), VFIO_IOMMU_DIRTY_PAGES, get, kLast + 64,
                      bits, [&] { unmap(kLast, 64); }));
  EXPECT_EQ(word(bits, 0), 1u);
  EXPECT_EQ(word(bits, kLast / 64), kCanaryWord);
}

TEST_F(DirtyRace, TrackingStopsInAReport) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits;
  StoppingMemory bits(3);
  Get get;
  map(0, 1);
  map(kLast, 64);
  EXPECT_ERR(EINVAL,
             with_stop(s.container(), VFIO_IOMMU_DIRTY_PAGES, get, kLast + 64,
                       bits, [&] { EXPECT_OK(dirty_stop(s.container())); }))
      << "the rest was not told";
}

// UNMAP with a bitmap: others wait for the mappings that are being unmapped.
TEST_F(DirtyRace, UnmapKeepsOthersOut) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits;
  StoppingMemory bits(4);
  Unmap arg;
  std::thread other;
  map(0, 1);
  map(kLast, 1);
  EXPECT_OK(with_stop(s.container(), VFIO_IOMMU_UNMAP_DMA, arg, kLast + 64,
                      bits, [&] {
                        // One that waits for what is being unmapped, and one
                        // that does not.
                        other = std::thread([&] { map(kLast, 320); });
                        map(128, 320);
                      }));
  other.join();
  EXPECT_EQ(arg.size, 2 * kPage);
  EXPECT_EQ(word(bits, 0), 1u);
  EXPECT_EQ(word(bits, kLast / 64), 1u) << "of the mapping that went";
  for (uint64_t i = kLast / 64 + 1; i < 4 * kPage / 8; i++)
    ASSERT_EQ(word(bits, i), kCanaryWord) << i << ", behind the bitmap";
  unmap(128, 320);
  unmap(kLast, 320);
}

// The dirty bits of pages that a device has pinned are in memory that the
// kernel frees when tracking stops.
class DirtyRaceOfPins : public OneTestdev {};

TEST_F(DirtyRaceOfPins, TrackingStopsInAnUnmap) {
  SKIP_ON_STOCK(kWhy);
  constexpr uint64_t kLast = 2 * kBits;
  Memory m(2 * kPage);
  m.touch(1);
  for (uint64_t at : {uint64_t{0}, kLast}) {
    ASSERT_OK(map_dma(s->container(), m.data(), kIova + at * kPage, kPage));
  }
  ASSERT_OK(dirty_start(s->container()));
  for (uint64_t at : {uint64_t{0}, kLast}) {
    ASSERT_EQ(pin(s->device(), kIova + at * kPage, 1), 1);
    ASSERT_OK(unpin(s->device(), kIova + at * kPage, 1));
  }
  StoppingMemory bits(3);
  Unmap arg;
  EXPECT_ERR(EINVAL,
             with_stop(s->container(), VFIO_IOMMU_UNMAP_DMA, arg, kLast + 64,
                       bits, [&] { EXPECT_OK(dirty_stop(s->container())); }));
  EXPECT_EQ(word(bits, 0), 1u);
  EXPECT_EQ(unmap_dma(s->container(), kIova, kGiB).size, 2 * kPage)
      << "nothing was unmapped";
}

}  // namespace
}  // namespace stack
