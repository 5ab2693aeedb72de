// SPDX-License-Identifier: GPL-2.0
//
// A BAR of 64 MiB (QEMU's ivshmem-plain, whose BAR is memory of its own) mapped
// for another device: many pages of the page table, in one piece and not.
#include <string.h>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x90000000;
constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ;
const int kRw = PROT_READ | PROT_WRITE;

class DmaLargeBar : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    const auto large = pci_devices(0x1af4, 0x1110);
    ASSERT_EQ(large.size(), 1u);
    s = Session({lone_devices()[0], large[0]});
    ASSERT_TRUE(s.ok());
    info = region_info(s.device(1), VFIO_PCI_BAR2_REGION_INDEX);
    ASSERT_EQ(info.size, 64ull << 20);
    enable(true);
    bar = view(kRw);
    ASSERT_TRUE(bar.ok());
    edu = std::make_unique<Edu>(s.device(0));
    before = locked_pages();
    pins = outstanding_pins();
    c = s.container();
  }

  Memory view(int prot) {
    return Memory(info.size, prot, MAP_SHARED, s.device(1),
                  static_cast<off_t>(info.offset));
  }

  void enable(bool on) {
    const uint16_t command = config_read16(s.device(1), 4);
    config_write16(s.device(1), 4,
                   static_cast<uint16_t>(on ? command | 2 : command & ~2));
  }

  void expect_uncharged() {
    EXPECT_EQ(locked_pages(), before);
    EXPECT_EQ(outstanding_pins(), pins);
  }

  // Through the device: bytes of one IOVA, written by the CPU where it is, are
  // read at another.
  void expect_reached(uint64_t iova, uint8_t* at) {
    Memory m(kPage);
    ASSERT_OK(map_dma(c, m.data(), 0, kPage));
    const uint64_t value = 0x5a5a000000000000 | iova;
    memcpy(at, &value, sizeof value);
    EXPECT_TRUE(edu->copy(0, iova, sizeof value));
    EXPECT_EQ(memcmp(m.data(), &value, sizeof value), 0) << iova;
    EXPECT_EQ(unmap_dma(c, 0, kPage).size, kPage);
  }

  Session s;
  vfio_region_info info{};
  Memory bar;
  std::unique_ptr<Edu> edu;
  uint64_t before = 0;
  int64_t pins = 0;
  int c = -1;
};

TEST_F(DmaLargeBar, AllOfItIsReached) {
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  expect_uncharged();
  for (uint64_t at : {uint64_t{0}, kHuge - kPage, kHuge, bar.size() / 2 + kPage,
                      bar.size() - kPage})
    expect_reached(kIova + at, bar.at(at));
  EXPECT_EQ(unmap_dma(c, kIova, bar.size()).size, bar.size());
  expect_uncharged();
}

TEST_F(DmaLargeBar, PartsOfIt) {
  for (uint64_t first : {kPage, kHuge - kPage, kHuge, 5 * kHuge + 3 * kPage})
    for (uint64_t size :
         {kPage, 2 * kPage, kHuge, 3 * kHuge + kPage, bar.size() - first}) {
      ASSERT_OK(map_dma(c, bar.at(first), kIova, size));
      expect_reached(kIova + size - kPage, bar.at(first + size - kPage));
      EXPECT_EQ(unmap_dma(c, kIova, size).size, size);
    }
  expect_uncharged();
}

// Nobody has touched the view: the first look-up faults it in.
TEST_F(DmaLargeBar, NotThereYet) {
  bar = view(kRw);
  ASSERT_OK(map_dma(c, bar.at(7 * kPage), kIova, 4 * kHuge));
  expect_reached(kIova + 3 * kHuge, bar.at(7 * kPage + 3 * kHuge));
  EXPECT_EQ(unmap_dma(c, kIova, 4 * kHuge).size, 4 * kHuge);
}

TEST_F(DmaLargeBar, MemoryBetween) {
  // Ten huge pages of address space: pages of memory are put over the BAR at
  // the bounds of a page of the page table, and within one.
  Memory m(10 * kHuge, kRw, MAP_SHARED, s.device(1),
           static_cast<off_t>(info.offset));
  uint64_t memory = 0;
  for (uint64_t at : {uint64_t{0}, kHuge - kPage, 2 * kHuge,
                      3 * kHuge + 9 * kPage, 10 * kHuge - kPage}) {
    ASSERT_NE(mmap(m.at(at), kPage, kRw,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
              MAP_FAILED);
    memory++;
  }
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + memory);
  EXPECT_EQ(outstanding_pins(), pins + static_cast<int64_t>(memory));
  for (uint64_t at :
       {uint64_t{0}, kPage, kHuge - kPage, kHuge, 2 * kHuge,
        3 * kHuge + 9 * kPage, 3 * kHuge + 10 * kPage, 10 * kHuge - kPage})
    expect_reached(kIova + at, m.at(at));
  EXPECT_EQ(unmap_dma(c, kIova, m.size()).size, m.size());
  expect_uncharged();
}

// Pieces of the BAR in another order: contiguous addresses, frames that are
// not.
TEST_F(DmaLargeBar, PiecesOutOfOrder) {
  Memory m(4 * kHuge);
  const uint64_t offsets[] = {3 * kHuge, 0, 9 * kHuge, kHuge};
  for (size_t i = 0; i < 4; i++)
    ASSERT_NE(mmap(m.at(i * kHuge), kHuge, kRw, MAP_SHARED | MAP_FIXED,
                   s.device(1), static_cast<off_t>(info.offset + offsets[i])),
              MAP_FAILED);
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  for (size_t i = 0; i < 4; i++)
    expect_reached(kIova + (i + 1) * kHuge - kPage,
                   bar.at(offsets[i] + kHuge - kPage));
  EXPECT_EQ(unmap_dma(c, kIova, m.size()).size, m.size());
  expect_uncharged();
}

TEST_F(DmaLargeBar, AHoleUndoesAll) {
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  unmap_dma(c, kIova, bar.size());
  for (uint64_t hole : {5 * kHuge, 7 * kHuge - kPage}) {
    munmap(bar.at(hole), kPage);
    EXPECT_ERR(EFAULT, map_dma(c, bar.data(), kIova, bar.size()));
    expect_uncharged();
  }
  // Its own last page makes the end: what lies behind the whole of it may be
  // memory of something else.
  munmap(bar.at(bar.size() - kPage), kPage);
  EXPECT_ERR(EFAULT,
             map_dma(c, bar.at(bar.size() - 2 * kPage), kIova, 2 * kPage))
      << "behind its end";
  expect_uncharged();
  EXPECT_OK(map_dma(c, bar.data(), kIova, 5 * kHuge));
}

TEST_F(DmaLargeBar, AReadOnlyPageIsNotWritten) {
  ASSERT_EQ(mprotect(bar.at(3 * kHuge), kPage, PROT_READ), 0);
  EXPECT_ERR(EFAULT, map_dma(c, bar.data(), kIova, bar.size()));
  expect_uncharged();
  EXPECT_OK(map_dma(c, bar.data(), kIova, bar.size(), kRead));
  EXPECT_EQ(unmap_dma(c, kIova, bar.size()).size, bar.size());
  bar = view(PROT_READ);
  EXPECT_ERR(EFAULT, map_dma(c, bar.data(), kIova, bar.size()));
  EXPECT_OK(map_dma(c, bar.data(), kIova, bar.size(), kRead));
}

TEST_F(DmaLargeBar, DisabledAndBackAgain) {
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  EXPECT_EQ(unmap_dma(c, kIova, bar.size()).size, bar.size());
  enable(false);
  EXPECT_ERR(EFAULT, map_dma(c, bar.data(), kIova, bar.size()));
  expect_uncharged();
  enable(true);
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  expect_reached(kIova + kHuge, bar.at(kHuge));
}

}  // namespace
}  // namespace stack
