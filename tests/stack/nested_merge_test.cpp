// SPDX-License-Identifier: GPL-2.0
//
// Groups that are merged, on vfio_zpci: one guest memory for the set, and for
// each function what its own table says.
#include "merge.hpp"
#include "nested_fixture.hpp"
#include "testdev.hpp"

namespace stack {
namespace {

class NestedMerge : public testing::TestWithParam<uint32_t> {
 protected:
  void SetUp() override {
    REQUIRE_DEVICES(2);
    for (int i = 0; i < 2; i++) {
      groups[i] = open_group(lone_devices()[i]);
      ASSERT_OK(groups[i].get());
    }
    ASSERT_OK(set_iommu(groups[0], VFIO_ZPCI_IOMMU));
    ASSERT_OK(map_dma(groups[0], memory.data(), 0, memory.size()));
    tables[0].emplace(memory.data(), GetParam(), memory.size());
    tables[1].emplace(memory.data(), GetParam(), memory.size() / 2);
  }
  // By the file of the other group.
  Fd device(int i) { return get_device(groups[1 - i], lone_devices()[i].bdf); }
  void maps(int fh, uint64_t gpa) {
    tables[fh]->map(kIova, gpa);
    ASSERT_EQ(zpci_refresh(groups[fh], fh, kIova, kPage), kRefreshed);
  }

  static constexpr uint64_t kIova = 0x12345000;
  Memory memory = Memory::aligned(16ull << 20);
  Fd groups[2];
  std::optional<GuestTables> tables[2];  // the first has the upper half
};

INSTANTIATE_TEST_SUITE_P(Formats, NestedMerge, testing::ValuesIn(kGuestFormats),
                         NestedTest::format_name);

TEST_P(NestedMerge, OneMemoryAndATableForEachFunction) {
  ASSERT_OK(merge(groups[0], groups[1]));
  Fd fds[2] = {device(0), device(1)};
  ASSERT_OK(fds[0].get());
  ASSERT_OK(fds[1].get());
  ASSERT_OK(zpci_register(groups[1], 0, groups[0], *tables[0]));
  ASSERT_OK(zpci_register(groups[0], 1, fds[1], *tables[1]));
  Edu first(fds[0]), second(fds[1]);
  ASSERT_TRUE(first.ok() && second.ok());

  maps(0, 0x5000);
  maps(1, 0x9000);
  memset(memory.at(0x5000), 0x55, 64);
  memset(memory.at(0x9000), 0x99, 64);
  ASSERT_TRUE(first.fetch(kIova, 0, 64));
  ASSERT_TRUE(second.fetch(kIova, 0, 64));
  maps(0, 0x6000);
  maps(1, 0xa000);
  ASSERT_TRUE(first.store(kIova, 0, 64));
  ASSERT_TRUE(second.store(kIova, 0, 64));
  EXPECT_EQ(*memory.at(0x6000), 0x55);
  EXPECT_EQ(*memory.at(0xa000), 0x99);
}

TEST_P(NestedMerge, WhatIsTakenOutReachesNothing) {
  ASSERT_OK(merge(groups[0], groups[1]));
  Fd first = device(0), second = device(1);
  ASSERT_OK(first.get());
  ASSERT_OK(second.get());
  ASSERT_OK(zpci_register(groups[0], 1, second, *tables[1]));
  maps(1, 0x9000);
  second.reset();
  ASSERT_OK(unmerge(groups[0], groups[1]));
  EXPECT_NE(zpci_refresh(groups[0], 1, kIova, kPage), kRefreshed)
      << "its function has gone with the group";
  EXPECT_OK(zpci_register(groups[0], 1, groups[0], *tables[0]))
      << "and its handle is free";

  ASSERT_OK(set_iommu(groups[1], VFIO_TYPE1v2_IOMMU));
  second = get_device(groups[1], lone_devices()[1].bdf);
  ASSERT_OK(second.get());
  Edu alone(second);
  ASSERT_TRUE(alone.ok());
  memset(memory.at(0x9000), 0x99, 64);
  ASSERT_TRUE(alone.store(kIova, 0, 64));
  EXPECT_EQ(*memory.at(0x9000), 0x99);
}

TEST_P(NestedMerge, EmulatedGroupsAreRefused) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  Fd emulated = open_path(dev.node());
  ASSERT_OK(emulated.get());
  EXPECT_ERR(EOPNOTSUPP, merge(groups[0], emulated));
  EXPECT_EQ(group_flags(emulated), VFIO_GROUP_FLAGS_VIABLE);
  EXPECT_EQ(group_flags(groups[0]), kInContainer);
  EXPECT_OK(merge(groups[0], groups[1]));
}

}  // namespace
}  // namespace stack
