// SPDX-License-Identifier: GPL-2.0
//
// A device with a TLB of its own (ATS) behind an IOMMU in caching mode, as in a
// guest: before memory is unpinned, it is flushed from the IOMMU's TLB and from
// the device's. For the machines of vm-args.ats and vm-args.ats-amd.
#include <algorithm>

#include "invalidations.hpp"
#include "virtio_rng.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x10000000,
                   kQueue = kFirstIova + 0x8000000;

class DeviceTlb : public testing::Test {
 protected:
  void SetUp() override {
    const std::vector<PciDevice> rngs = virtio_rngs();
    ASSERT_GE(rngs.size(), 1u);
    s = Session({rngs[0]});
    ASSERT_TRUE(s.ok());
    ASSERT_TRUE(ats_enabled(s.pci())) << "attached, so that ATS is on";
    m = Memory(1024 * kPage);
    m.touch(1);
  }

  // Maps pages of m at an offset from kIova.
  void map(uint64_t page, uint64_t npages, uint64_t at) {
    ASSERT_OK(
        map_dma(s.container(), m.at(page * kPage), kIova + at, npages * kPage));
  }

  // Unmaps all in one call; returns what was invalidated by it.
  Invalidations unmap(uint64_t iova, uint64_t size, uint64_t expected,
                      uint32_t flags = 0) {
    return count_invalidations([&] {
      EXPECT_EQ(unmap_dma(s.container(), iova, size, flags).size, expected);
    });
  }

  // There is a flush of the IOMMU's TLB, and with each a flush of the device's.
  static void expect_reached(const Invalidations& found) {
    EXPECT_GE(found.iotlb, 1u);
    EXPECT_EQ(found.device_tlb, found.iotlb);
    // AMD's driver flushes each piece on its own if the IOMMU caches what is
    // not present.
    if (!on_stock() && has_vtd()) {
      EXPECT_EQ(found.iotlb, 1u) << "one flush an UNMAP";
    }
  }

  Session s;
  Memory m;
};

TEST_F(DeviceTlb, UnmapOfOnePage) {
  map(0, 1, 0);
  expect_reached(unmap(kIova, kPage, kPage));
}

TEST_F(DeviceTlb, UnmapOfALargeMapping) {
  map(0, 1000, 0);
  expect_reached(unmap(kIova, 1000 * kPage, 1000 * kPage));
}

TEST_F(DeviceTlb, UnmapOfSeveralMappings) {
  map(0, 1, 0);
  map(1, 3, 5 * kPage);
  map(4, 20, 100 * kPage);
  expect_reached(unmap(kIova, kGiB, 24 * kPage));
}

TEST_F(DeviceTlb, UnmapAll) {
  map(0, 2, 0);
  map(2, 600, kGiB + kPage);
  map(602, 1, 100 * kGiB);
  expect_reached(unmap(0, 0, 603 * kPage, VFIO_DMA_UNMAP_FLAG_ALL));
}

TEST_F(DeviceTlb, UnmapWithADirtyBitmap) {
  std::vector<uint64_t> bits(2);
  struct {
    uint32_t argsz, flags;
    uint64_t iova, size, pgsize, bytes, data;
  } arg = {sizeof(arg),
           VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
           kIova,
           128 * kPage,
           kPage,
           16,
           reinterpret_cast<uint64_t>(bits.data())};
  struct {
    uint32_t argsz, flags;
  } start = {sizeof(start), VFIO_IOMMU_DIRTY_PAGES_FLAG_START};

  map(0, 1, 0);
  map(1, 1, 100 * kPage);
  ASSERT_OK(call(s.container(), VFIO_IOMMU_DIRTY_PAGES, &start));
  expect_reached(count_invalidations([&] {
    EXPECT_OK(call(s.container(), VFIO_IOMMU_UNMAP_DMA, &arg));
    EXPECT_EQ(arg.size, 2 * kPage);
  }));
}

// Both TLBs are flushed alike while another group's device, without a TLB, is
// behind the same IOMMU, and after it has left.
TEST_F(DeviceTlb, UnmapBesideAnotherGroup) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  Fd group = open_group(edu);
  ASSERT_OK(set_container(group, s.container()));
  map(0, 1, 0);
  map(1, 1, 10 * kPage);
  map(2, 1, 20 * kPage);
  expect_reached(unmap(kIova, 11 * kPage, 2 * kPage));
  ASSERT_OK(unset_container(group));
  map(0, 1, 0);
  expect_reached(unmap(0, 0, 2 * kPage, VFIO_DMA_UNMAP_FLAG_ALL));
}

// What the device writes to memory. Not behind AMD's IOMMU: that of QEMU 7.2
// takes a device behind a port for another one, and does not translate for it.
using DeviceTlbDma = DeviceTlb;

size_t bytes_set(const uint8_t* page) {
  return kPage - static_cast<size_t>(std::count(page, page + kPage, 0));
}

// What is mapped when the last group leaves is unpinned then.
TEST_F(DeviceTlbDma, NothingIsReachedThatWasMappedBeforeTheGroupLeft) {
  Memory target(kPage);
  target.touch(0);
  ASSERT_OK(map_dma(s.container(), target.data(), kIova, kPage));
  map(1, 1, 10 * kPage);
  {
    VirtioRng rng(s.container(), s.device(), kQueue);
    ASSERT_TRUE(rng.ok());
    EXPECT_GT(rng.fill(kIova, kPage), 0);
    EXPECT_GT(bytes_set(target.data()), 0u);
  }
  s.device_fd().reset();
  ASSERT_OK(unset_container(s.group()));
  EXPECT_EQ(locked_pages(), 0u);
  std::fill(target.data(), target.data() + kPage, 0);

  s = Session();
  s = Session({virtio_rngs()[0]});
  ASSERT_TRUE(s.ok());
  VirtioRng rng(s.container(), s.device(), kQueue);
  ASSERT_TRUE(rng.ok());
  rng.fill(kIova, kPage, 500);
  EXPECT_EQ(bytes_set(target.data()), 0u);
}

TEST_F(DeviceTlbDma, TheDeviceWritesWhereItIsMappedAndNowhereElse) {
  VirtioRng rng(s.container(), s.device(), kQueue);
  ASSERT_TRUE(rng.ok());
  Memory target(2 * kPage);

  target.touch(0);
  ASSERT_OK(map_dma(s.container(), target.at(0), kIova, kPage));
  ASSERT_OK(map_dma(s.container(), target.at(kPage), kIova + 8 * kPage, kPage));
  EXPECT_GT(rng.fill(kIova, kPage), 0);
  EXPECT_GT(bytes_set(target.at(0)), 0u);
  EXPECT_EQ(bytes_set(target.at(kPage)), 0u);
  EXPECT_GT(rng.fill(kIova + 8 * kPage, kPage), 0);
  EXPECT_GT(bytes_set(target.at(kPage)), 0u);

  expect_reached(unmap(kIova, kGiB, 2 * kPage));
  std::fill(target.data(), target.data() + target.size(), 0);
  rng.fill(kIova, kPage, 500);
  EXPECT_EQ(bytes_set(target.at(0)) + bytes_set(target.at(kPage)), 0u);
}

}  // namespace
}  // namespace stack
