// SPDX-License-Identifier: GPL-2.0
//
// A scheduler lets a device's DMA reach other pages than those that its user
// has mapped.
#include <string.h>

#include "gate.hpp"

namespace stack {
namespace {

class GateRemap : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("no gates");
    devices = lone_devices();
    ASSERT_GE(devices.size(), 2u);
    ASSERT_OK(scheduler.add(devices[0]));
    s = Session({devices[0]});
    ASSERT_TRUE(s.ok());
    edu = std::make_unique<Edu>(s.device());
    ASSERT_OK(map_dma(s.container(), memory.data(), kFirstIova, memory.size()));
    others.touch(0xcc);
    ASSERT_OK(scheduler.pin(others));
    reset();
  }

  void TearDown() override {
    if (s.ok()) (void)unmap_dma(s.container(), kFirstIova, memory.size());
  }

  void reset() {
    memory.touch(0xaa);
    others.touch(0xcc);
  }

  uint8_t* page(const Memory& of, size_t number) const {
    return of.at(number * kPage);
  }

  // The device writes zeroes.
  bool store(size_t number) {
    return edu->store(kFirstIova + number * kPage, 0, 8);
  }

  vfio_testgate_page to_other(size_t number, int other) const {
    return {kFirstIova + number * kPage, other, -1};
  }
  vfio_testgate_page to_users(size_t number) const {
    return {kFirstIova + number * kPage, -1, -1};
  }

  static constexpr size_t kPages = 16;

  std::vector<PciDevice> devices;
  Memory memory{kPages * kPage};
  Memory others{4 * kPage};
  Scheduler scheduler;
  Session s;
  std::unique_ptr<Edu> edu;
};

TEST_F(GateRemap, DmaReachesAnotherPageAndTheUsersAgain) {
  ASSERT_TRUE(store(3));
  EXPECT_NE(*page(memory, 3), 0xaa) << "the device's DMA works";
  reset();
  ASSERT_OK(scheduler.block());
  ASSERT_EQ(scheduler.remap({to_other(3, 1), to_other(4, 0)}), 2);
  ASSERT_OK(scheduler.open());
  ASSERT_TRUE(store(3));
  EXPECT_EQ(*page(memory, 3), 0xaa);
  EXPECT_NE(*page(others, 1), 0xcc);
  ASSERT_TRUE(store(4));
  EXPECT_NE(*page(others, 0), 0xcc);
  ASSERT_TRUE(store(5));
  EXPECT_NE(*page(memory, 5), 0xaa) << "its neighbour's is as it was";
  ASSERT_TRUE(store(2));
  EXPECT_NE(*page(memory, 2), 0xaa);
  reset();
  ASSERT_EQ(scheduler.remap({to_users(3), to_users(4)}), 2)
      << "while it is open";
  ASSERT_TRUE(store(3));
  EXPECT_NE(*page(memory, 3), 0xaa);
  EXPECT_EQ(*page(others, 1), 0xcc);
}

TEST_F(GateRemap, PagesOfALargerOneAreSplit) {
  Memory huge = Memory::aligned(kHuge);
  uint8_t* first = huge.data();
  constexpr uint64_t kAt = kFirstIova + 64 * kHuge;
  huge.touch(0xaa);
  ASSERT_OK(map_dma(s.container(), first, kAt, kHuge));
  const uint64_t in_it = kAt + kHuge / 2;
  ASSERT_EQ(scheduler.remap({{in_it, 2, -1}}), 1);
  EXPECT_TRUE(edu->store(in_it, 0, 8));
  EXPECT_NE(*page(others, 2), 0xcc);
  EXPECT_EQ(first[kHuge / 2], 0xaa);
  for (const uint64_t neighbour : {in_it - kPage, in_it + kPage, kAt}) {
    EXPECT_TRUE(edu->store(neighbour, 0, 8));
    EXPECT_NE(first[neighbour - kAt], 0xaa);
  }
  ASSERT_EQ(scheduler.remap({{in_it, -1, -1}}), 1);
  EXPECT_TRUE(edu->store(in_it, 0, 8));
  EXPECT_NE(first[kHuge / 2], 0xaa);
  EXPECT_EQ(unmap_dma(s.container(), kAt, kHuge).size, kHuge);
}

TEST_F(GateRemap, UnmappingEndsIt) {
  const uint64_t before = locked_pages();
  ASSERT_EQ(scheduler.remap({to_other(3, 1)}), 1);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(unmap_dma(s.container(), kFirstIova, memory.size()).size,
            memory.size());
  ASSERT_TRUE(store(3));
  EXPECT_EQ(*page(others, 1), 0xcc) << "nothing is mapped";
  EXPECT_EQ(*page(memory, 3), 0xaa);
  EXPECT_EQ(scheduler.remap({to_other(3, 1)}), -EINVAL);
  ASSERT_OK(map_dma(s.container(), memory.data(), kFirstIova, memory.size()));
  ASSERT_TRUE(store(3));
  EXPECT_NE(*page(memory, 3), 0xaa) << "mapped anew";
}

TEST_F(GateRemap, WhatIsWrongIsRefused) {
  EXPECT_EQ(scheduler.remap({to_other(kPages, 0)}), -EINVAL) << "not mapped";
  EXPECT_EQ(scheduler.remap({{kFirstIova + 8, 0, -1}}), -EINVAL);
  EXPECT_EQ(scheduler.remap({to_other(0, 0), to_other(kPages, 1)}), 1);
  edu.reset();
  s = Session();
  EXPECT_EQ(scheduler.remap({to_other(0, 0)}), -EINVAL) << "nobody has it";
}

TEST_F(GateRemap, TheUsersPagesComeBackWithoutTheScheduler) {
  ASSERT_EQ(scheduler.remap({to_other(3, 1)}), 1);
  ASSERT_TRUE(store(3));
  EXPECT_NE(*page(others, 1), 0xcc);
  reset();
  scheduler.close();
  ASSERT_TRUE(store(3));
  EXPECT_NE(*page(memory, 3), 0xaa);
  EXPECT_EQ(*page(others, 1), 0xcc);
}

// The register of another gated device instead of a page.
TEST_F(GateRemap, AWindowIsReachedWhileItsDeviceIsOpen) {
  constexpr uint32_t kLiveness = 4;  // reads as the complement of what it got
  ASSERT_OK(scheduler.add(devices[1]));
  Session second({devices[1]});
  ASSERT_TRUE(second.ok());
  Edu reached(second.device());
  uint32_t value = 0x13579bdf;
  memcpy(memory.data(), &value, sizeof value);
  ASSERT_TRUE(edu->fetch(kFirstIova, 0, 4));
  const auto store_register = [&] {
    return edu->store(kFirstIova + 3 * kPage + kLiveness, 0, 4);
  };
  ASSERT_OK(scheduler.block(1));
  ASSERT_EQ(scheduler.remap({{kFirstIova + 3 * kPage, -1, 1}}), 1);
  EXPECT_TRUE(store_register());
  ASSERT_OK(scheduler.open(1));
  EXPECT_NE(reached.read32(kLiveness), ~value) << "it was blocked";
  EXPECT_TRUE(store_register());
  EXPECT_EQ(reached.read32(kLiveness), ~value);
  reached.write32(kLiveness, 0);
  ASSERT_OK(scheduler.block(1));
  EXPECT_TRUE(store_register());
  ASSERT_OK(scheduler.open(1));
  EXPECT_EQ(reached.read32(kLiveness), ~0u) << "it was blocked";
  EXPECT_EQ(*page(memory, 3), 0xaa);
}

}  // namespace
}  // namespace stack
