// SPDX-License-Identifier: GPL-2.0
//
// Memory without pages: a BAR of one device mapped for another. Nothing is
// pinned or charged, and the device behind the BAR hears the DMA.
#include <string.h>

#include "harness.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x90000000;
constexpr uint32_t kLiveness = 4;  // reads as the complement of what it got

class DmaBar : public testing::Test {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(2);
    auto all = lone_devices();
    s = Session({all[0], all[1]});
    ASSERT_TRUE(s.ok());
    from = std::make_unique<Edu>(s.device(0));
    to = std::make_unique<Edu>(s.device(1));
    info = region_info(s.device(1), VFIO_PCI_BAR0_REGION_INDEX);
    bar = Memory(info.size, PROT_READ | PROT_WRITE, MAP_SHARED, s.device(1),
                 static_cast<off_t>(info.offset));
    ASSERT_TRUE(bar.ok());
    before = locked_pages();
    pins = outstanding_pins();
    c = s.container();
  }
  void expect_uncharged() {
    EXPECT_EQ(locked_pages(), before);
    EXPECT_EQ(outstanding_pins(), pins);
  }
  Session s;
  std::unique_ptr<Edu> from, to;
  vfio_region_info info{};
  Memory bar;
  uint64_t before = 0;
  int64_t pins = 0;
  int c = -1;
};

TEST_F(DmaBar, WholeIsMappedWithoutCharge) {
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  expect_uncharged();
  EXPECT_EQ(unmap_dma(c, kIova, bar.size()).size, bar.size());
  expect_uncharged();
}

TEST_F(DmaBar, PartIsMapped) {
  ASSERT_OK(map_dma(c, bar.at(kPage), kIova, 3 * kPage));
  expect_uncharged();
  EXPECT_EQ(unmap_dma(c, kIova, 3 * kPage).size, 3 * kPage);
}

TEST_F(DmaBar, PeerToPeerReachesTheRegister) {
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  Memory m(kPage);
  uint32_t value = 0x13579bdf;
  memcpy(m.data(), &value, sizeof value);
  ASSERT_OK(map_dma(c, m.data(), 0, kPage));
  to->write32(kLiveness, 0);
  ASSERT_TRUE(from->fetch(0, 0, 4));
  ASSERT_TRUE(from->store(kIova + kLiveness, 0, 4));
  EXPECT_EQ(to->read32(kLiveness), ~value);

  ASSERT_EQ(unmap_dma(c, kIova, bar.size()).size, bar.size());
  to->write32(kLiveness, 0);
  from->store(kIova + kLiveness, 0, 4);
  EXPECT_EQ(to->read32(kLiveness), ~0u) << "no longer reached";
}

TEST_F(DmaBar, NeedsNoMemlock) {
  in_child(
      [&] {
        EXPECT_OK(map_dma(c, bar.data(), kIova, bar.size()));
        EXPECT_EQ(locked_pages(), 0u);
        EXPECT_EQ(unmap_dma(c, kIova, bar.size()).size, bar.size());
      },
      {.drop_user = true, .memlock = 0});
}

TEST_F(DmaBar, MemoryAndBarInOneRange) {
  // A page, 16 pages of BAR, a page: only the memory is charged.
  Memory m(18 * kPage);
  m.touch(1);
  ASSERT_NE(mmap(m.at(kPage), 16 * kPage, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, s.device(1),
                 static_cast<off_t>(info.offset)),
            MAP_FAILED);
  ASSERT_OK(map_dma(c, m.data(), kIova, m.size()));
  EXPECT_EQ(locked_pages(), before + 2);
  observe("charged", locked_pages() - before);
  EXPECT_EQ(unmap_dma(c, kIova, m.size()).size, m.size());
  expect_uncharged();
}

TEST_F(DmaBar, RolledBackBehindABadPage) {
  Memory m(34 * kPage);
  ASSERT_NE(mmap(m.at(kPage), 16 * kPage, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, s.device(1),
                 static_cast<off_t>(info.offset)),
            MAP_FAILED);
  munmap(m.at(33 * kPage), kPage);
  EXPECT_ERR(EFAULT, map_dma(c, m.data(), kIova, m.size()));
  expect_uncharged();
}

TEST_F(DmaBar, ReadOnlyViewCannotBeWritten) {
  Memory ro(kPage, PROT_READ, MAP_SHARED, s.device(1),
            static_cast<off_t>(info.offset));
  ASSERT_TRUE(ro.ok());
  long result = map_dma(c, ro.data(), kIova, kPage);
  observe_result("read_write", result);
  EXPECT_ERR(EFAULT, result);
  EXPECT_OK(map_dma(c, ro.data(), kIova, kPage, VFIO_DMA_MAP_FLAG_READ));
  expect_uncharged();
}

TEST_F(DmaBar, MunmappedBehindTheMapping) {
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  bar = Memory();
  expect_uncharged();
  EXPECT_EQ(unmap_dma(c, kIova, info.size).size, info.size);
  expect_uncharged();
}

TEST_F(DmaBar, DisabledBarIsEFAULT) {
  uint16_t command = config_read16(s.device(1), 4);
  config_write16(s.device(1), 4, static_cast<uint16_t>(command & ~2));
  long result = map_dma(c, bar.data(), kIova, kPage);
  observe_result("map", result);
  EXPECT_ERR(EFAULT, result);
  config_write16(s.device(1), 4, command);
  EXPECT_OK(map_dma(c, bar.data(), kIova, kPage));
}

TEST_F(DmaBar, LateGroupSeesIt) {
  REQUIRE_DEVICES(3);
  ASSERT_OK(map_dma(c, bar.data(), kIova, bar.size()));
  Fd group = open_group(lone_devices()[2]);
  ASSERT_OK(set_container(group, c));
  Fd device = get_device(group, lone_devices()[2].bdf);
  Edu third(device);
  Memory m(kPage);
  uint32_t value = 0x2468ace0;
  memcpy(m.data(), &value, sizeof value);
  ASSERT_OK(map_dma(c, m.data(), 0, kPage));
  to->write32(kLiveness, 0);
  ASSERT_TRUE(third.copy(kIova + kLiveness, 0, 4));
  EXPECT_EQ(to->read32(kLiveness), ~value);
}

}  // namespace
}  // namespace stack
