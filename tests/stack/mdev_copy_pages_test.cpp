// SPDX-License-Identifier: GPL-2.0
//
// samples/mdev_copy: what it pins and when it lets go, and data that lie
// anywhere in memory.
#include <string.h>

#include <algorithm>
#include <random>

#include "mdev_copy.hpp"

namespace stack {
namespace {

class MdevCopyPages : public CopyTest {};

TEST_F(MdevCopyPages, PinsWhatDescriptorsReferToAndNoMore) {
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  // One page in 64 of 128 MiB, in no order.
  constexpr uint64_t kPages = 32768, kUsed = kPages / 64;
  Memory m(kPages * kPage, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  madvise(m.data(), m.size(), MADV_NOHUGEPAGE);
  ASSERT_OK(map_dma(engine.container(), m.data(), 0, m.size()));
  const int64_t before = outstanding_pins();
  EXPECT_EQ(engine.pinned(), 0u) << "nothing has run yet";

  std::vector<uint32_t> pages(kUsed);
  for (uint32_t i = 0; i < kUsed; i++) pages[i] = i;
  std::shuffle(pages.begin(), pages.end(), std::mt19937(5));
  auto value = [](uint32_t page) { return page * 0x01000193 + 7; };
  auto pass = [&] {
    uint32_t last = 0;
    for (uint32_t i = 0; i < kUsed; i++) {
      last = engine.push(
          fill_desc(pages[i] * 64 * kPage + 16, value(pages[i]), 32));
      if (!engine.full() && i + 1 < kUsed) continue;
      engine.ring();
      ASSERT_EQ(engine.wait(last), 0u) << "page " << pages[i];
    }
  };
  pass();
  for (uint32_t i = 0; i < kUsed; i++) {
    uint32_t seen;
    memcpy(&seen, m.at(i * 64 * kPage + 16), sizeof seen);
    ASSERT_EQ(seen, value(i)) << i;
  }
  // The ring's page is read and written, which counts twice.
  EXPECT_EQ(engine.pinned(), kUsed + 2);
  const int64_t pins = outstanding_pins();
  EXPECT_EQ(pins - before, static_cast<int64_t>(kUsed) + 1);
  pass();
  EXPECT_EQ(engine.pinned(), kUsed + 2) << "they stay for the next time";
  EXPECT_EQ(outstanding_pins(), pins);
  const uint64_t memory = engine.read64(MDEV_COPY_PIN_MEMORY);
  note("bytes of kernel memory a pinned page: " +
       std::to_string(memory / engine.pinned()));
  EXPECT_LT(memory, engine.pinned() * 64 + 4096) << "less than an rb-tree";
  EXPECT_EQ(unmap_dma(engine.container(), 0, m.size()).size, m.size());
  EXPECT_EQ(engine.pinned(), 2u);
}

TEST_F(MdevCopyPages, AnyPlacement) {
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  constexpr size_t kSize = 128 * kPage, kHalf = kSize / 2;
  Memory m(kSize), expected(kSize);
  fill_random(m.data(), kSize, 3);
  memcpy(expected.data(), m.data(), kSize);
  ASSERT_OK(map_dma(engine.container(), m.data(), kGiB, kSize));
  std::mt19937 random(11);
  // From one half to the other, every length up to several pages.
  for (int round = 0; round < 20; round++) {
    uint32_t last = 0;
    for (int i = 0; i < 30; i++) {
      const size_t length = 1 + random() % (i % 3 ? 40 : 5 * kPage);
      const size_t from = random() % (kHalf - length);
      const size_t to = kHalf + random() % (kHalf - length);
      last = engine.push(
          copy_desc(kGiB + to, kGiB + from, static_cast<uint32_t>(length)));
      memcpy(expected.at(to), expected.at(from), length);
    }
    engine.ring();
    ASSERT_EQ(engine.wait(last), 0u);
    ASSERT_EQ(memcmp(m.data(), expected.data(), kSize), 0) << round;
  }
  EXPECT_EQ(engine.read64(MDEV_COPY_FAILED), 0u);
}

TEST_F(MdevCopyPages, LargerThanABatch) {
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  constexpr size_t kSize = 4 << 20;
  Memory from = Memory::aligned(kSize), to(kSize + kPage);
  fill_random(from.data(), kSize, 4);
  ASSERT_OK(map_dma(engine.container(), from.data(), kGiB, kSize));
  ASSERT_OK(map_dma(engine.container(), to.data(), 2 * kGiB, to.size()));
  EXPECT_EQ(engine.run(copy_desc(2 * kGiB + 1234, kGiB, kSize)), 0u);
  EXPECT_EQ(memcmp(to.at(1234), from.data(), kSize), 0);
  uint32_t slot = engine.push(crc_desc(2 * kGiB + 1234, kSize));
  engine.ring();
  EXPECT_EQ(engine.wait(slot), 0u);
  EXPECT_EQ(engine.at(slot).result, crc32_of(from.data(), kSize));
}

TEST_F(MdevCopyPages, TheLastPageOfTheAddressSpace) {
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  Memory m(2 * kPage);
  fill_random(m.data(), m.size(), 5);
  const uint64_t last = ~0ull - kPage + 1;
  ASSERT_OK(map_dma(engine.container(), m.data(), last, kPage));
  ASSERT_OK(map_dma(engine.container(), m.at(kPage), 0, kPage));
  EXPECT_EQ(engine.run(copy_desc(0, last, kPage)), 0u);
  EXPECT_EQ(memcmp(m.data(), m.at(kPage), kPage), 0);
  EXPECT_EQ(engine.run(fill_desc(last, 0x55555555, kPage)), 0u);
  EXPECT_EQ(m.data()[kPage - 1], 0x55);
  EXPECT_EQ(engine.run(copy_desc(0, last, kPage + 1)), MDEV_COPY_ERR_LENGTH);
  EXPECT_EQ(unmap_dma(engine.container(), last, kPage).size, kPage);
  EXPECT_EQ(engine.run(copy_desc(0, last, kPage)), MDEV_COPY_ERR_IOVA);
}

TEST_F(MdevCopyPages, TheLimit) {
  ScopedParam limit("mdev_copy", "max_pinned", "256");
  ASSERT_TRUE(limit.applied());
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  constexpr uint64_t kPages = 1024;
  Memory m(kPages * kPage), expected(kPages * kPage);
  fill_random(m.data(), m.size(), 6);
  ASSERT_OK(map_dma(engine.container(), m.data(), 0, m.size()));
  memcpy(expected.data(), m.data(), m.size());
  std::mt19937 random(7);
  for (int i = 0; i < 300; i++) {
    const uint64_t length = kPage * (1 + random() % 100);
    const uint64_t from = random() % (kPages * kPage / 2 - length);
    const uint64_t to =
        kPages * kPage / 2 + random() % (kPages * kPage / 2 - length);
    ASSERT_EQ(engine.run(copy_desc(to, from, static_cast<uint32_t>(length))),
              0u);
    memcpy(expected.at(to), expected.at(from), length);
    ASSERT_LE(engine.pinned(), 256u);
  }
  EXPECT_EQ(memcmp(m.data(), expected.data(), m.size()), 0);
  EXPECT_GT(engine.pinned(), 100u) << "it keeps what it may";
}

TEST_F(MdevCopyPages, AccountedOnce) {
  create();
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  Memory m(64 * kPage);
  ASSERT_OK(map_dma(engine.container(), m.data(), 0, m.size()));
  const uint64_t before = locked_pages();
  EXPECT_EQ(engine.run(fill_desc(0, 1, 8 * kPage)), 0u);
  EXPECT_EQ(locked_pages() - before, 9u) << "the ring's page too";
  EXPECT_EQ(engine.run(fill_desc(0, 2, 8 * kPage)), 0u);
  EXPECT_EQ(locked_pages() - before, 9u);
  EXPECT_EQ(engine.run(copy_desc(16 * kPage, 0, 8 * kPage)), 0u);
  EXPECT_EQ(locked_pages() - before, 17u) << "read and written: once";
}

TEST_F(MdevCopyPages, LockedMemoryIsLimited) {
  create();
  ASSERT_NO_FATAL_FAILURE(give_to_user());
  ChildOptions user;
  user.drop_user = true;
  user.memlock = 32 * kPage;
  in_child(
      [&] {
        CopyEngine engine(uuid_);
        ASSERT_TRUE(engine.ok());
        Memory m(64 * kPage);
        ASSERT_OK(map_dma(engine.container(), m.data(), 0, m.size()));
        EXPECT_EQ(engine.run(fill_desc(0, 1, 16 * kPage)), 0u);
        EXPECT_EQ(engine.run(fill_desc(0, 1, 64 * kPage)),
                  MDEV_COPY_ERR_RESOURCES);
        EXPECT_LE(locked_pages(), 32u);
        ASSERT_OK(unmap_dma(engine.container(), 0, m.size()).result);
        ASSERT_OK(map_dma(engine.container(), m.data(), 0, m.size()));
        EXPECT_EQ(engine.run(fill_desc(32 * kPage, 1, 30 * kPage)), 0u);
      },
      user);
}

}  // namespace
}  // namespace stack
