// SPDX-License-Identifier: GPL-2.0
//
// A container with an edu device behind the IOMMU and an emulated one: the
// hardware's mappings pin and account everything, the emulated device's pins
// come on top and cost nothing, until the hardware leaves.
#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = kFirstIova + 0x10000000;
constexpr uint64_t kPages = 8;

class EmulatedMixed : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(1);
    edu_ = lone_devices()[0];
    ASSERT_TRUE(dev.ok());
    s.emplace(std::vector<const Testdev*>{&dev}, 0);
    ASSERT_TRUE(s->ok());
    m = Memory(kPages * kPage);
    m.touch(1);
    before = locked_pages();
  }
  // The edu's group joins a container, with or without an IOMMU set.
  void attach_edu() {
    hw_group = open_group(edu_);
    ASSERT_OK(hw_group.get());
    ASSERT_OK(set_container(hw_group, s->container()));
  }
  void detach_edu() {
    hw_device.reset();
    ASSERT_OK(unset_container(hw_group));
    hw_group.reset();
  }
  void open_both() {
    ASSERT_OK(set_iommu(s->container(), VFIO_TYPE1v2_IOMMU));
    hw_device = get_device(hw_group, edu_.bdf);
    ASSERT_OK(hw_device.get());
    emulated = get_device(s->group(), dev.name());
    ASSERT_OK(emulated.get());
  }
  uint64_t charged() { return locked_pages() - before; }

  Testdev dev;
  std::optional<TestdevSession> s;
  PciDevice edu_;
  Fd hw_group, hw_device, emulated;
  Memory m;
  uint64_t before = 0;
};

TEST_F(EmulatedMixed, PinsCostNothingWhileHardwareIsThere) {
  attach_edu();
  open_both();
  if (HasFatalFailure()) return;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_EQ(charged(), kPages) << "the mapping pins all of it";
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(emulated, kIova + kPage, 4, kRead | kWrite, 0, &pfns), 4);
  EXPECT_EQ(charged(), kPages);
  EXPECT_EQ(pfns[0], pfn_of(m.at(kPage))) << "the frame that hardware uses";
  EXPECT_OK(unpin(emulated, kIova + kPage, 4));
  EXPECT_EQ(charged(), kPages);

  ASSERT_EQ(pin(emulated, kIova + kPage, 4), 4);
  EXPECT_OK(unmap_dma(s->container(), kIova, m.size()).result);
  EXPECT_EQ(charged(), 0u);
  EXPECT_EQ(unmap_events(emulated).size(), 1u);
}

TEST_F(EmulatedMixed, HardwareThatLeavesAndComesBackIsReaccounted) {
  attach_edu();
  open_both();
  if (HasFatalFailure()) return;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(emulated, kIova + kPage, 4), 4);
  ASSERT_EQ(pin(emulated, kIova + kPage, 2), 2);
  EXPECT_EQ(charged(), kPages);

  detach_edu();
  EXPECT_EQ(charged(), 4u) << "only what the emulated device pins, once each";
  EXPECT_OK(unpin(emulated, kIova + 3 * kPage, 2));
  EXPECT_EQ(charged(), 2u);
  EXPECT_EQ(pin(emulated, kIova + 7 * kPage, 1), 1);
  EXPECT_EQ(charged(), 3u) << "a new pin costs again";

  attach_edu();
  EXPECT_EQ(charged(), kPages) << "replayed; pinned pages not counted twice";
  hw_device = get_device(hw_group, edu_.bdf);
  ASSERT_OK(hw_device.get());
  detach_edu();
  EXPECT_EQ(charged(), 3u);
  EXPECT_OK(unmap_dma(s->container(), kIova, m.size()).result);
  EXPECT_EQ(charged(), 0u);
}

TEST_F(EmulatedMixed, TheHardwareReachesMemoryAfterTheReplay) {
  ASSERT_OK(set_iommu(s->container(), VFIO_TYPE1v2_IOMMU));
  emulated = get_device(s->group(), dev.name());
  ASSERT_OK(emulated.get());
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(emulated, kIova, 2), 2);
  EXPECT_EQ(charged(), 2u);
  attach_edu();
  EXPECT_EQ(charged(), kPages);
  hw_device = get_device(hw_group, edu_.bdf);
  ASSERT_OK(hw_device.get());
  Edu edu(hw_device);
  ASSERT_TRUE(edu.ok());
  for (int i = 0; i < 16; i++) m.data()[i] = static_cast<uint8_t>(0xa0 + i);
  ASSERT_TRUE(edu.copy(kIova + 5 * kPage, kIova, 16));
  for (int i = 0; i < 16; i++)
    ASSERT_EQ(m.at(5 * kPage)[i], 0xa0 + i) << "byte " << i;
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(emulated, kIova + 5 * kPage, 1, kRead, 0, &pfns), 1);
  EXPECT_EQ(pfns[0], pfn_of(m.at(5 * kPage)));
}

// The emulated group alone keeps the container's mappings alive.
TEST_F(EmulatedMixed, TheEmulatedGroupLeavesFirst) {
  attach_edu();
  open_both();
  if (HasFatalFailure()) return;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(emulated, kIova, 4), 4);
  emulated.reset();
  EXPECT_EQ(charged(), kPages);
  ASSERT_OK(unset_container(s->group()));
  EXPECT_EQ(charged(), kPages) << "the hardware still has it mapped";
  EXPECT_EQ(call(s->container(), VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 1)
      << "no emulated group any more";
  detach_edu();
  EXPECT_EQ(charged(), 0u) << "the last group takes the mappings away";
}

TEST_F(EmulatedMixed, UpdateVaddrNeedsThatNoGroupIsEmulated) {
  attach_edu();
  open_both();
  if (HasFatalFailure()) return;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_EQ(call(s->container(), VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 0);
  EXPECT_ERR(EBUSY, unmap_dma(s->container(), kIova, m.size(),
                              VFIO_DMA_UNMAP_FLAG_VADDR)
                        .result);
}

TEST_F(EmulatedMixed, HardwareMakesEveryPageDirty) {
  attach_edu();
  open_both();
  if (HasFatalFailure()) return;
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_OK(dirty_start(s->container()));
  EXPECT_EQ(dirty_pages(s->container(), kIova, kPages).text(), "0-7");
  ASSERT_EQ(pin(emulated, kIova + 2 * kPage, 1), 1);
  EXPECT_EQ(dirty_pages(s->container(), kIova, kPages).text(), "0-7");
  detach_edu();
  EXPECT_EQ(dirty_pages(s->container(), kIova, kPages).text(), "0-7")
      << "what the hardware wrote before it left";
  EXPECT_EQ(dirty_pages(s->container(), kIova, kPages).text(), "2")
      << "from now on only pins";
}

TEST_F(EmulatedMixed, DmaCacheCoherency) {
  ASSERT_OK(set_iommu(s->container(), VFIO_TYPE1v2_IOMMU));
  observe_result("dma_cc_emulated_only",
                 call(s->container(), VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU));
  attach_edu();
  observe_result("dma_cc_with_hardware",
                 call(s->container(), VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU));
  EXPECT_EQ(iova_ranges(s->container()).empty(), false)
      << "now an aperture bounds what can be mapped";
}

// Addresses that the hardware cannot reach keep it out of the container.
TEST_F(EmulatedMixed, MappingsOutsideTheApertureRefuseTheHardware) {
  ASSERT_OK(set_iommu(s->container(), VFIO_TYPE1v2_IOMMU));
  ASSERT_OK(map_dma(s->container(), m.data(), 0xfee00000, kPage))
      << "the MSI window means nothing without hardware";
  hw_group = open_group(edu_);
  ASSERT_OK(hw_group.get());
  EXPECT_ERR(EINVAL, set_container(hw_group, s->container()));
  ASSERT_OK(unmap_dma(s->container(), 0xfee00000, kPage).result);
  EXPECT_OK(set_container(hw_group, s->container()));
  EXPECT_ERR(EINVAL, map_dma(s->container(), m.data(), 0xfee00000, kPage));
}

// The same for what lies behind its end, or across it.
TEST_F(EmulatedMixed, MappingBehindTheApertureRefusesTheHardware) {
  ASSERT_OK(set_iommu(s->container(), VFIO_TYPE1v2_IOMMU));
  hw_group = open_group(edu_);
  ASSERT_OK(hw_group.get());
  ASSERT_OK(set_container(hw_group, s->container()));
  const uint64_t end = iova_ranges(s->container()).back().last + 1;
  ASSERT_NE(end, 0u) << "an IOMMU that reaches all addresses";
  ASSERT_OK(unset_container(hw_group));

  for (const uint64_t iova : {end, end - kPage}) {
    ASSERT_OK(map_dma(s->container(), m.data(), iova, 2 * kPage));
    EXPECT_ERR(EINVAL, set_container(hw_group, s->container())) << iova;
    EXPECT_EQ(charged(), 0u);
    ASSERT_OK(unmap_dma(s->container(), iova, 2 * kPage).result);
  }
  EXPECT_OK(set_container(hw_group, s->container()));
}

}  // namespace
