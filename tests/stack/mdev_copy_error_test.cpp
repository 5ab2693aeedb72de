// SPDX-License-Identifier: GPL-2.0
//
// samples/mdev_copy: descriptors and rings that are wrong. A bad descriptor is
// reported in it and the ring goes on; a bad ring halts.
#include <string.h>

#include <memory>

#include "mdev_copy.hpp"

namespace stack {
namespace {

constexpr uint64_t kData = 0x100000;
constexpr uint64_t kDataPages = 16;
constexpr uint64_t kHole = kData + kDataPages * kPage;

class MdevCopyError : public CopyTest {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(CopyTest::SetUp());
    if (!driver_) return;
    create();
    engine_ = std::make_unique<CopyEngine>(uuid_);
    ASSERT_TRUE(engine_->ok());
    data_ = Memory(kDataPages * kPage);
    fill_random(data_.data(), data_.size(), 1);
    ASSERT_OK(map_dma(engine_->container(), data_.data(), kData, data_.size()));
  }

  void TearDown() override {
    engine_.reset();
    CopyTest::TearDown();
  }

  // The engine still does what it is asked for.
  void expect_alive() {
    fill_random(data_.data(), kPage, 99);
    EXPECT_EQ(engine_->run(copy_desc(kData + kPage, kData, kPage)), 0u);
    EXPECT_EQ(memcmp(data_.data(), data_.at(kPage), kPage), 0);
  }

  void expect_halted(uint32_t error, uint64_t iova) {
    EXPECT_TRUE(wait_event(engine_->irq(), 10000)) << "that is worth an MSI";
    EXPECT_TRUE(engine_->halted());
    EXPECT_EQ(engine_->read32(MDEV_COPY_ERROR), error);
    EXPECT_EQ(engine_->read64(MDEV_COPY_FAULT_IOVA), iova);
    EXPECT_EQ(engine_->read32(MDEV_COPY_STATUS) & MDEV_COPY_STATUS_ERROR, 1u);
    EXPECT_EQ(engine_->read32(MDEV_COPY_HEAD), 0u);
    engine_->ring();
    usleep(20000);
    EXPECT_TRUE(engine_->halted()) << "a doorbell does not start it";
  }

  std::unique_ptr<CopyEngine> engine_;
  Memory data_;
};

struct Bad {
  const char* name;
  mdev_copy_desc desc;
  uint32_t error;
  uint64_t fault;
};

mdev_copy_desc with(mdev_copy_desc desc, void (*change)(mdev_copy_desc&)) {
  change(desc);
  return desc;
}

const Bad kBad[] = {
    {"op_0", with(copy_desc(kData, 0, 4), [](auto& d) { d.op = 0; }),
     MDEV_COPY_ERR_OP, 0},
    {"op_4", with(copy_desc(kData, 0, 4), [](auto& d) { d.op = 4; }),
     MDEV_COPY_ERR_OP, 0},
    {"flag", with(copy_desc(kData, 0, 4), [](auto& d) { d.flags = 2; }),
     MDEV_COPY_ERR_OP, 0},
    {"no_length", copy_desc(kData, kData + kPage, 0), MDEV_COPY_ERR_LENGTH, 0},
    {"too_long", fill_desc(kData, 0, MDEV_COPY_MAX_LENGTH + 4),
     MDEV_COPY_ERR_LENGTH, 0},
    {"longest_u32", copy_desc(0, kGiB * 8, ~0u), MDEV_COPY_ERR_LENGTH, 0},
    {"src_wraps", copy_desc(kData, ~0ull - 2, 4), MDEV_COPY_ERR_LENGTH, 0},
    {"dst_wraps", copy_desc(~0ull - 2, kData, 4), MDEV_COPY_ERR_LENGTH, 0},
    {"fill_length", fill_desc(kData, 0, 6), MDEV_COPY_ERR_LENGTH, 0},
    {"fill_align", fill_desc(kData + 2, 0, 4), MDEV_COPY_ERR_LENGTH, 0},
    {"overlap", copy_desc(kData + 63, kData, 64), MDEV_COPY_ERR_OVERLAP, 0},
    {"overlap_below", copy_desc(kData, kData + 63, 64), MDEV_COPY_ERR_OVERLAP,
     0},
    {"onto_itself", copy_desc(kData, kData, 64), MDEV_COPY_ERR_OVERLAP, 0},
    {"src_unmapped", copy_desc(kData, kHole, 64), MDEV_COPY_ERR_IOVA, kHole},
    {"dst_unmapped", copy_desc(kHole, kData, 64), MDEV_COPY_ERR_IOVA, kHole},
    {"both_unmapped", copy_desc(kHole, kHole + kPage, 64), MDEV_COPY_ERR_IOVA,
     kHole + kPage},
    {"across_the_end", crc_desc(kHole - kPage, 2 * kPage), MDEV_COPY_ERR_IOVA,
     kHole},
    {"before_the_start", fill_desc(kData - 8, 0, 16), MDEV_COPY_ERR_IOVA,
     kData - kPage},
    {"last_page", crc_desc(~0ull - 7, 8), MDEV_COPY_ERR_IOVA,
     ~0ull - kPage + 1},
};

class MdevCopyBad : public MdevCopyError,
                    public testing::WithParamInterface<Bad> {};

TEST_P(MdevCopyBad, IsReportedAndTheRingGoesOn) {
  Memory before(data_.size());
  memcpy(before.data(), data_.data(), data_.size());
  const uint32_t good = engine_->push(crc_desc(kData, 64));
  const uint32_t bad = engine_->push(GetParam().desc);
  const uint32_t behind = engine_->push(crc_desc(kData, 64, true));
  engine_->ring();
  EXPECT_TRUE(wait_event(engine_->irq(), 10000));
  EXPECT_EQ(engine_->wait(behind), 0u);
  EXPECT_EQ(engine_->at(good).result, engine_->at(behind).result);
  EXPECT_EQ(engine_->at(bad).status, MDEV_COPY_DONE | GetParam().error);
  EXPECT_EQ(engine_->at(bad).fault_iova, GetParam().fault);
  EXPECT_EQ(engine_->at(bad).done, 0u);
  EXPECT_EQ(engine_->at(bad).result, 0u);
  EXPECT_EQ(memcmp(before.data(), data_.data(), data_.size()), 0);

  EXPECT_EQ(engine_->read32(MDEV_COPY_STATUS), MDEV_COPY_STATUS_ERROR);
  EXPECT_EQ(engine_->read32(MDEV_COPY_ERROR), GetParam().error);
  EXPECT_EQ(engine_->read64(MDEV_COPY_FAULT_IOVA), GetParam().fault);
  EXPECT_EQ(engine_->read64(MDEV_COPY_COMPLETED), 3u);
  EXPECT_EQ(engine_->read64(MDEV_COPY_FAILED), 1u);
  engine_->write32(MDEV_COPY_STATUS, MDEV_COPY_STATUS_ERROR);
  EXPECT_EQ(engine_->read32(MDEV_COPY_STATUS), 0u);
  expect_alive();
}

INSTANTIATE_TEST_SUITE_P(All, MdevCopyBad, testing::ValuesIn(kBad),
                         [](const auto& info) { return info.param.name; });

TEST_F(MdevCopyError, MappingsForOneDirection) {
  Memory m(2 * kPage);
  m.touch(7);
  ASSERT_OK(map_dma(engine_->container(), m.data(), kGiB, kPage,
                    VFIO_DMA_MAP_FLAG_READ));
  ASSERT_OK(map_dma(engine_->container(), m.at(kPage), 2 * kGiB, kPage,
                    VFIO_DMA_MAP_FLAG_WRITE));
  EXPECT_EQ(engine_->run(copy_desc(kData, kGiB, kPage)), 0u);
  EXPECT_EQ(memcmp(data_.data(), m.data(), kPage), 0);
  uint32_t slot = engine_->push(fill_desc(kGiB + 8, 0, 16));
  engine_->ring();
  EXPECT_EQ(engine_->wait(slot), MDEV_COPY_ERR_PROT) << "pinned for reading";
  EXPECT_EQ(engine_->at(slot).fault_iova, kGiB);
  EXPECT_EQ(m.data()[0], 7);

  EXPECT_EQ(engine_->run(fill_desc(2 * kGiB, 0x01010101, kPage)), 0u);
  EXPECT_EQ(m.data()[kPage], 1);
  slot = engine_->push(crc_desc(2 * kGiB, kPage));
  engine_->ring();
  EXPECT_EQ(engine_->wait(slot), MDEV_COPY_ERR_PROT) << "pinned for writing";
  EXPECT_EQ(engine_->at(slot).fault_iova, 2 * kGiB);
}

TEST_F(MdevCopyError, AHoleInTheMiddle) {
  ASSERT_OK(unmap_dma(engine_->container(), kData, data_.size()).result);
  for (uint64_t page = 0; page < kDataPages; page++) {
    if (page != 9) {
      ASSERT_OK(map_dma(engine_->container(), data_.at(page * kPage),
                        kData + page * kPage, kPage));
    }
  }
  const uint32_t slot =
      engine_->push(crc_desc(kData + 100, kDataPages * kPage - 200));
  engine_->ring();
  EXPECT_EQ(engine_->wait(slot), MDEV_COPY_ERR_IOVA);
  EXPECT_EQ(engine_->at(slot).fault_iova, kData + 9 * kPage);
  ASSERT_OK(map_dma(engine_->container(), data_.at(9 * kPage),
                    kData + 9 * kPage, kPage));
  const uint32_t again = engine_->push(crc_desc(kData, kDataPages * kPage));
  engine_->ring();
  EXPECT_EQ(engine_->wait(again), 0u);
  EXPECT_EQ(engine_->at(again).result, crc32_of(data_.data(), data_.size()));
}

TEST_F(MdevCopyError, MemoryThatIsNoLongerThere) {
  ASSERT_EQ(munmap(data_.at(4 * kPage), kPage), 0);
  const uint32_t slot = engine_->push(crc_desc(kData, kDataPages * kPage));
  engine_->ring();
  EXPECT_EQ(engine_->wait(slot), MDEV_COPY_ERR_IOVA);
  EXPECT_EQ(engine_->at(slot).fault_iova, kData + 4 * kPage);
  EXPECT_NE(mmap(data_.at(4 * kPage), kPage, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            MAP_FAILED);
  expect_alive();
}

// --- the ring --------------------------------------------------------------

TEST_F(MdevCopyError, ARingThatIsRefused) {
  struct {
    uint64_t base;
    uint32_t entries;
  } rings[] = {
      {CopyEngine::kRing + 32, 64}, {CopyEngine::kRing, 0},
      {CopyEngine::kRing, 63},      {CopyEngine::kRing, 128},
      {CopyEngine::kRing, ~0u},     {0ull - 63 * MDEV_COPY_DESC_SIZE, 64},
  };
  for (const auto& ring : rings) {
    EXPECT_FALSE(engine_->enable(ring.base, ring.entries)) << ring.entries;
    EXPECT_EQ(engine_->read32(MDEV_COPY_STATUS), MDEV_COPY_STATUS_ERROR);
    EXPECT_EQ(engine_->read32(MDEV_COPY_ERROR), MDEV_COPY_ERR_RING);
    EXPECT_EQ(engine_->read64(MDEV_COPY_FAULT_IOVA), ring.base);
    engine_->write32(MDEV_COPY_STATUS, MDEV_COPY_STATUS_ERROR);
  }
  EXPECT_TRUE(engine_->enable());
  expect_alive();
}

TEST_F(MdevCopyError, TheRingIsFixedWhileItRuns) {
  engine_->write64(MDEV_COPY_RING_BASE, kData);
  engine_->write32(MDEV_COPY_RING_SIZE, 2);
  EXPECT_EQ(engine_->read64(MDEV_COPY_RING_BASE), CopyEngine::kRing);
  EXPECT_EQ(engine_->read32(MDEV_COPY_RING_SIZE), engine_->entries());
  expect_alive();
}

TEST_F(MdevCopyError, ATailBeyondTheRing) {
  for (uint32_t tail : {64u, 65u, ~0u}) {
    engine_->ring(tail);
    expect_halted(MDEV_COPY_ERR_TAIL, 0);
    ASSERT_TRUE(engine_->enable());
    EXPECT_FALSE(engine_->halted());
  }
  engine_->write32(MDEV_COPY_STATUS, MDEV_COPY_STATUS_ERROR);
  expect_alive();
}

TEST_F(MdevCopyError, WithoutBusMastering) {
  engine_->master(false);
  engine_->push(crc_desc(kData, 4));
  engine_->ring();
  expect_halted(MDEV_COPY_ERR_MASTER, 0);
  engine_->master(true);
  ASSERT_TRUE(engine_->enable());
  expect_alive();
}

TEST_F(MdevCopyError, ARingInNoMemory) {
  ASSERT_TRUE(engine_->enable(kHole, 4));
  engine_->ring(1);
  expect_halted(MDEV_COPY_ERR_IOVA, kHole);
  ASSERT_TRUE(engine_->enable());
  expect_alive();
}

TEST_F(MdevCopyError, ARingThatCannotBeWritten) {
  Memory ring(kPage);
  const mdev_copy_desc desc = crc_desc(kData, 4);
  memcpy(ring.data(), &desc, sizeof desc);
  ASSERT_OK(map_dma(engine_->container(), ring.data(), kGiB, kPage,
                    VFIO_DMA_MAP_FLAG_READ));
  ASSERT_TRUE(engine_->enable(kGiB, 4));
  engine_->ring(1);
  expect_halted(MDEV_COPY_ERR_PROT, kGiB);
  ASSERT_TRUE(engine_->enable());
  expect_alive();
}

}  // namespace
}  // namespace stack
