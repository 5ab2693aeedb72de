// SPDX-License-Identifier: GPL-2.0
//
// A driver of virtio-rng that uses nothing but vfio-pci and type1, with the
// device's addresses translated by the IOMMU: random bytes arrive where they
// are mapped and nowhere else. Needs no device that x86 alone has.
#include "virtio_rng.hpp"

#include <algorithm>

#include "merge.hpp"

namespace stack {
namespace {

// s390x's IOMMU begins at 4 GiB.
constexpr uint64_t kIova = 0x200000000, kQueue = 0x100000000;

class VirtioRngDma : public testing::Test {
 protected:
  void SetUp() override {
    rngs = virtio_rngs();
    ASSERT_GE(rngs.size(), 1u) << "a virtio-rng bound to vfio-pci";
    s = Session({rngs[0]});
    ASSERT_TRUE(s.ok());
    rng.emplace(s.container(), s.device(), kQueue);
    ASSERT_TRUE(rng->ok());
    memory = Memory(kPages * kPage);
    ASSERT_TRUE(memory.ok());
    target = RandomTarget(memory.data(), memory.size());
    target.wipe();
  }
  // The driver resets the device and unmaps its queue while they are open.
  void TearDown() override {
    rng.reset();
    s = Session();
    if (refused) recover(rngs[0]);
  }
  // Asks for bytes where the device may not write.
  void fill_in_vain(uint64_t iova) {
    refused = true;
    rng->fill(iova, 64, 500);
    EXPECT_TRUE(target.blank());
  }
  static constexpr size_t kPages = 16;

  std::vector<PciDevice> rngs;
  Session s;
  Memory memory;
  RandomTarget target;
  std::optional<VirtioRng> rng;
  bool refused = false;
};

TEST_F(VirtioRngDma, BytesArriveWhereTheyAreMapped) {
  ASSERT_OK(map_dma(s.container(), memory.data(), kIova, memory.size()));
  for (const uint64_t size : {uint64_t{64}, uint64_t{1000}, kPage}) {
    for (const uint64_t offset : {uint64_t{0}, kPage - 8, 5 * kPage + 24}) {
      target.wipe();
      EXPECT_EQ(rng->fill(kIova + offset, static_cast<uint32_t>(size)),
                static_cast<int64_t>(size));
      target.expect_only(offset, size);
    }
  }
}

TEST_F(VirtioRngDma, EachFillIsAnother) {
  ASSERT_OK(map_dma(s.container(), memory.data(), kIova, memory.size()));
  ASSERT_EQ(rng->fill(kIova, 64), 64);
  ASSERT_EQ(rng->fill(kIova + kPage, 64), 64);
  EXPECT_FALSE(std::equal(memory.at(0), memory.at(64), memory.at(kPage)));
}

// More fills than the queue has entries, so that its indexes wrap.
TEST_F(VirtioRngDma, ManyFills) {
  ASSERT_OK(map_dma(s.container(), memory.data(), kIova, memory.size()));
  for (size_t i = 0; i < 40; i++) {
    target.wipe();
    ASSERT_EQ(rng->fill(kIova + i * 80, 64), 64) << i;
    target.expect_only(i * 80, 64);
  }
}

// Two mappings whose memory lies the other way round.
TEST_F(VirtioRngDma, EachPageHasItsOwnAddress) {
  ASSERT_OK(map_dma(s.container(), memory.at(9 * kPage), kIova, kPage));
  ASSERT_OK(map_dma(s.container(), memory.at(2 * kPage), kIova + kPage, kPage));
  ASSERT_EQ(rng->fill(kIova + 100, 64), 64);
  target.expect_only(9 * kPage + 100, 64);
  target.wipe();
  ASSERT_EQ(rng->fill(kIova + kPage + 100, 64), 64);
  target.expect_only(2 * kPage + 100, 64);
  target.wipe();
  ASSERT_EQ(rng->fill(kIova + kPage - 64, 128), 128) << "over both";
  EXPECT_TRUE(target.random_at(10 * kPage - 64, 64));
  EXPECT_TRUE(target.random_at(2 * kPage, 64));
}

TEST_F(VirtioRngDma, TheEdgesOfTheAperture) {
  for (const IovaRange& range : iova_ranges(s.container())) {
    if (range.last - range.first < 4 * kPage) continue;
    for (const uint64_t iova : {range.first, range.last - (kPage - 1)}) {
      if (iova == kQueue) continue;
      ASSERT_OK(map_dma(s.container(), memory.at(kPage), iova, kPage))
          << std::hex << iova;
      target.wipe();
      EXPECT_EQ(rng->fill(iova, static_cast<uint32_t>(kPage)),
                static_cast<int64_t>(kPage))
          << std::hex << iova;
      target.expect_only(kPage, kPage);
      EXPECT_EQ(unmap_dma(s.container(), iova, kPage).size, kPage);
    }
  }
}

TEST_F(VirtioRngDma, NothingArrivesAfterTheUnmap) {
  ASSERT_OK(map_dma(s.container(), memory.data(), kIova, kPage));
  ASSERT_OK(map_dma(s.container(), memory.at(kPage), kIova + kPage, kPage));
  ASSERT_EQ(rng->fill(kIova, 64), 64);
  EXPECT_EQ(unmap_dma(s.container(), kIova, kPage).size, kPage);
  target.wipe();
  fill_in_vain(kIova);
}

TEST_F(VirtioRngDma, NothingArrivesBehindAMapping) {
  ASSERT_OK(map_dma(s.container(), memory.at(kPage), kIova, kPage));
  fill_in_vain(kIova + kPage);
}

TEST_F(VirtioRngDma, NothingArrivesInMemoryToRead) {
  ASSERT_OK(map_dma(s.container(), memory.data(), kIova, kPage,
                    VFIO_DMA_MAP_FLAG_READ));
  fill_in_vain(kIova);
}

// Two groups that are merged: what is mapped once, both devices reach; one
// that is taken out has addresses of its own. The devices are opened first:
// opening resets them, and QEMU's IOMMU for s390x knows only what is mapped
// after that.
TEST(VirtioRngMerge, OneMappingForBoth) {
  const std::vector<PciDevice> rngs = virtio_rngs();
  ASSERT_GE(rngs.size(), 2u) << "two virtio-rngs bound to vfio-pci";
  Fd first = open_group(rngs[0]), second = open_group(rngs[1]);
  ASSERT_OK(first.get());
  ASSERT_OK(second.get());
  Memory memory(4 * kPage), queues(2 * kPage);
  ASSERT_TRUE(memory.ok() && queues.ok());
  RandomTarget target(memory.data(), memory.size());
  ASSERT_OK(set_iommu(first, VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(merge(first, second));
  Fd one = get_device(second, rngs[0].bdf),
     other = get_device(first, rngs[1].bdf);
  ASSERT_OK(one.get());
  ASSERT_OK(other.get());
  ASSERT_OK(map_dma(first, memory.data(), kIova, memory.size()));
  ASSERT_OK(map_dma(second, queues.data(), kQueue, queues.size()));
  {
    VirtioRng a(one, queues.at(0), kQueue);
    VirtioRng b(other, queues.at(kPage), kQueue + kPage);
    ASSERT_TRUE(a.ok() && b.ok());
    target.wipe();
    EXPECT_EQ(a.fill(kIova + 100, 64), 64);
    target.expect_only(100, 64);
    target.wipe();
    EXPECT_EQ(b.fill(kIova + 2 * kPage, 64), 64);
    target.expect_only(2 * kPage, 64);
  }
  other.reset();
  ASSERT_OK(unmerge(first, second));

  Memory elsewhere(2 * kPage);
  RandomTarget alone(elsewhere.data(), elsewhere.size());
  alone.wipe();
  ASSERT_OK(set_iommu(second, VFIO_TYPE1v2_IOMMU));
  other = get_device(second, rngs[1].bdf);
  ASSERT_OK(other.get());
  ASSERT_OK(map_dma(second, queues.data(), kQueue, kPage));
  ASSERT_OK(map_dma(second, elsewhere.data(), kIova, elsewhere.size()));
  VirtioRng b(other, queues.at(0), kQueue);
  ASSERT_TRUE(b.ok());
  target.wipe();
  EXPECT_EQ(b.fill(kIova, 64), 64);
  EXPECT_TRUE(target.blank()) << "the set's memory";
  alone.expect_only(0, 64);
}

}  // namespace
}  // namespace stack
