// SPDX-License-Identifier: GPL-2.0
//
// samples/mdev_copy: memory, files, instances and the driver that go while the
// engine is at work, and several engines at once.
#include <string.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "mdev_copy.hpp"

namespace stack {
namespace {

class MdevCopyLife : public CopyTest {};

constexpr uint64_t kFrom = kGiB, kTo = 2 * kGiB;
constexpr uint32_t kBlock = 256 << 10;

bool all_are(const Memory& m, uint8_t value) {
  return m.data()[0] == value &&
         memcmp(m.data(), m.data() + 1, m.size() - 1) == 0;
}

// Work for a while: one block again and again, each behind the other.
void push_many(CopyEngine& engine, std::vector<uint32_t>& slots) {
  while (slots.size() < engine.entries() - 1)
    slots.push_back(engine.push(copy_desc(kTo, kFrom, kBlock)));
  engine.ring();
}

class MdevCopyBusy : public MdevCopyLife {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(MdevCopyLife::SetUp());
    if (!driver_) return;
    create();
    fill_random(from_.data(), from_.size(), 1);
  }

  void map(int container) {
    ASSERT_OK(map_dma(container, from_.data(), kFrom, kBlock));
    ASSERT_OK(map_dma(container, to_.data(), kTo, kBlock));
  }

  Memory from_{kBlock}, to_{kBlock};
};

TEST_F(MdevCopyBusy, UnmappedMemoryIsNotTouched) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  ASSERT_NO_FATAL_FAILURE(map(engine.container()));
  int in_the_middle = 0;
  for (int round = 0; round < 30; round++) {
    std::vector<uint32_t> slots;
    push_many(engine, slots);
    ASSERT_EQ(engine.wait(slots[static_cast<size_t>(round)]), 0u);
    ASSERT_EQ(unmap_dma(engine.container(), kTo, kBlock).size, kBlock);
    memset(to_.data(), 0xaa, kBlock);
    size_t good = 0;
    for (uint32_t slot : slots) {
      const uint32_t error = engine.wait(slot);
      if (error == 0) {
        good++;
        continue;
      }
      ASSERT_EQ(error, MDEV_COPY_ERR_IOVA);
      const uint64_t fault = engine.at(slot).fault_iova;
      EXPECT_TRUE(fault >= kTo && fault < kTo + kBlock) << fault;
    }
    if (good < slots.size()) in_the_middle++;
    ASSERT_TRUE(all_are(to_, 0xaa)) << "round " << round;
    ASSERT_OK(map_dma(engine.container(), to_.data(), kTo, kBlock));
    ASSERT_TRUE(engine.enable());
  }
  EXPECT_GT(in_the_middle, 3);
  EXPECT_EQ(engine.run(copy_desc(kTo, kFrom, kBlock)), 0u);
  EXPECT_EQ(memcmp(from_.data(), to_.data(), kBlock), 0);
}

TEST_F(MdevCopyBusy, TheRingIsUnmapped) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  ASSERT_NO_FATAL_FAILURE(map(engine.container()));
  std::vector<uint32_t> slots;
  push_many(engine, slots);
  usleep(2000);
  const uint64_t size = engine.entries() * MDEV_COPY_DESC_SIZE;
  ASSERT_EQ(unmap_dma(engine.container(), CopyEngine::kRing, size).size, size);
  for (int i = 0; i < 10000 && !engine.halted(); i++) usleep(1000);
  EXPECT_TRUE(engine.halted());
  EXPECT_EQ(engine.read32(MDEV_COPY_ERROR), MDEV_COPY_ERR_IOVA);
  const uint64_t fault = engine.read64(MDEV_COPY_FAULT_IOVA);
  EXPECT_EQ(fault, CopyEngine::kRing +
                       engine.read32(MDEV_COPY_HEAD) * MDEV_COPY_DESC_SIZE);
}

TEST_F(MdevCopyBusy, Reset) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  ASSERT_NO_FATAL_FAILURE(map(engine.container()));
  for (unsigned round = 0; round < 10; round++) {
    std::vector<uint32_t> slots;
    push_many(engine, slots);
    usleep(1000 * round);
    ASSERT_OK(call(engine.device(), VFIO_DEVICE_RESET));
    memset(to_.data(), 0xbb, kBlock);
    for (uint32_t reg : {MDEV_COPY_CTRL, MDEV_COPY_STATUS, MDEV_COPY_ERROR,
                         MDEV_COPY_RING_SIZE, MDEV_COPY_HEAD, MDEV_COPY_TAIL})
      EXPECT_EQ(engine.read32(reg), 0u) << reg;
    for (uint32_t reg : {MDEV_COPY_RING_BASE, MDEV_COPY_FAULT_IOVA,
                         MDEV_COPY_COMPLETED, MDEV_COPY_PINNED})
      EXPECT_EQ(engine.read64(reg), 0u) << reg;
    usleep(5000);
    EXPECT_TRUE(all_are(to_, 0xbb));
    ASSERT_TRUE(engine.enable());
    EXPECT_EQ(engine.run(copy_desc(kTo, kFrom, kBlock, true)), 0u);
    EXPECT_EQ(memcmp(from_.data(), to_.data(), kBlock), 0);
    EXPECT_EQ(wait_event(engine.irq(), 1000), 1u) << "the eventfd stays";
    ASSERT_TRUE(engine.enable());
  }
}

TEST_F(MdevCopyBusy, TurnedOff) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  ASSERT_NO_FATAL_FAILURE(map(engine.container()));
  std::vector<uint32_t> slots;
  push_many(engine, slots);
  ASSERT_EQ(engine.wait(slots[3]), 0u);
  engine.disable();
  EXPECT_EQ(engine.read32(MDEV_COPY_STATUS) & MDEV_COPY_STATUS_BUSY, 0u);
  memset(to_.data(), 0xcc, kBlock);
  const uint32_t head = engine.read32(MDEV_COPY_HEAD);
  ASSERT_LT(head, slots.size()) << "it was at work";
  // Up to the head all are done, the last perhaps not to its end.
  for (uint32_t i = 0; i < slots.size(); i++) {
    const uint32_t status = engine.at(slots[i]).status;
    if (i >= head) {
      EXPECT_EQ(status, 0u);
    } else if (i + 1 < head || status == MDEV_COPY_DONE) {
      EXPECT_EQ(status, MDEV_COPY_DONE);
    } else {
      EXPECT_EQ(status, MDEV_COPY_DONE | MDEV_COPY_ERR_ABORTED);
    }
  }
  usleep(5000);
  EXPECT_TRUE(all_are(to_, 0xcc));
}

TEST_F(MdevCopyBusy, Closed) {
  for (unsigned round = 0; round < 8; round++) {
    CopyEngine engine(uuid_);
    ASSERT_TRUE(engine.ok());
    ASSERT_NO_FATAL_FAILURE(map(engine.container()));
    std::vector<uint32_t> slots;
    push_many(engine, slots);
    usleep(1000 * round);
    engine.close();
    memset(to_.data(), 0xdd, kBlock);
    usleep(5000);
    ASSERT_TRUE(all_are(to_, 0xdd));
  }
}

TEST_F(MdevCopyBusy, TheProcessDies) {
  for (unsigned round = 0; round < 4; round++) {
    Child child([&](Child& self) {
      CopyEngine engine(uuid_, round % 2 ? Doorbell::kPolled : Doorbell::kTail);
      ASSERT_TRUE(engine.ok());
      ASSERT_NO_FATAL_FAILURE(map(engine.container()));
      std::vector<uint32_t> slots;
      push_many(engine, slots);
      self.notify();
      pause();
    });
    EXPECT_TRUE(child.await());
    child.kill();
    child.wait(SIGKILL);
    // While the worker pins, it has the memory of the process, and that has
    // the doorbell page: the last of its files may be closed a little later.
    long result = -EBUSY;
    for (int i = 0; i < 5000 && result == -EBUSY; i++) {
      result = MdevSession(uuid_).result();
      if (result == -EBUSY) usleep(1000);
    }
    ASSERT_OK(result) << "the instance is free again";
  }
}

TEST_F(MdevCopyBusy, RemovedWhileOpen) {
  CopyEngine engine(uuid_);
  ASSERT_TRUE(engine.ok());
  ASSERT_NO_FATAL_FAILURE(map(engine.container()));
  Fd wanted = make_eventfd();
  ASSERT_OK(set_irq_eventfd(engine.device(), VFIO_PCI_REQ_IRQ_INDEX, wanted));
  std::vector<uint32_t> slots;
  push_many(engine, slots);
  std::atomic<long> result = 1;
  std::thread remover([&] { result = mdev_remove(uuid_); });
  EXPECT_TRUE(wait_event(wanted, 5000)) << "it asks to be let go";
  for (uint32_t slot : slots) ASSERT_EQ(engine.wait(slot), 0u);
  EXPECT_EQ(memcmp(from_.data(), to_.data(), kBlock), 0);
  EXPECT_EQ(result, 1) << "it waits";
  EXPECT_EQ(driver_->available("64"), 63u);
  EXPECT_ERR(EWOULDBLOCK, driver_->unload());
  engine.close();
  remover.join();
  EXPECT_EQ(result, 0);
  EXPECT_EQ(driver_->available("64"), 64u);
}

TEST_F(MdevCopyLife, TheDriverGoes) {
  for (unsigned i = 0; i < 3; i++) create("256", test_uuid(i));
  ASSERT_OK(driver_->unload());
  EXPECT_TRUE(mdevs().empty());
  ASSERT_EQ(driver_->load(), 0);
  EXPECT_EQ(driver_->available("256"), 16u);
}

TEST_F(MdevCopyLife, TheCapacityIsAParameter) {
  ASSERT_OK(driver_->unload());
  driver_.emplace("mdev_copy", "capacity=200");
  ASSERT_TRUE(driver_->ok());
  EXPECT_EQ(driver_->available("64"), 3u);
  EXPECT_EQ(driver_->available("256"), 0u);
  EXPECT_ERR(ENOSPC, driver_->create("256", test_uuid(1)));
}

// --- the doorbell page -----------------------------------------------------

TEST_F(MdevCopyLife, AMappedDoorbellWithoutPollingWantsAKick) {
  create();
  CopyEngine engine(uuid_, Doorbell::kKick);
  ASSERT_TRUE(engine.ok());
  Memory m(kPage);
  ASSERT_OK(map_dma(engine.container(), m.data(), 0, kPage));
  usleep(100000);  // until it has seen that it was turned on
  EXPECT_EQ(engine.doorbell()->asleep, 1u);
  const uint32_t slot = engine.push(fill_desc(0, 1, 4));
  engine.doorbell()->tail = 1;
  EXPECT_EQ(engine.wait(slot, 50), ~0u);
  EXPECT_EQ(engine.read32(MDEV_COPY_TAIL), 1u);
  engine.write32(MDEV_COPY_KICK, 0);
  EXPECT_EQ(engine.wait(slot), 0u);
}

TEST_F(MdevCopyLife, APolledDoorbellNeedsNoExit) {
  ScopedParam poll("mdev_copy", "poll_ms", "60000");
  ASSERT_TRUE(poll.applied());
  create();
  CopyEngine engine(uuid_, Doorbell::kPolled);
  ASSERT_TRUE(engine.ok());
  Memory m(kPage);
  ASSERT_OK(map_dma(engine.container(), m.data(), 0, kPage));
  usleep(100000);  // until it has seen that it was turned on
  ASSERT_EQ(engine.doorbell()->asleep, 0u);
  for (uint32_t i = 0; i < 20; i++) {
    const uint32_t slot = engine.push(fill_desc(0, i, 4));
    engine.doorbell()->tail = slot + 1;
    ASSERT_EQ(engine.wait(slot), 0u);
    ASSERT_EQ(*reinterpret_cast<volatile uint32_t*>(m.data()), i);
    ASSERT_EQ(engine.doorbell()->asleep, 0u);
    if (i % 5 == 0) usleep(20000);
  }
}

TEST_F(MdevCopyLife, APollingEngineFallsAsleep) {
  ScopedParam poll("mdev_copy", "poll_ms", "5");
  ASSERT_TRUE(poll.applied());
  create();
  CopyEngine engine(uuid_, Doorbell::kPolled);
  ASSERT_TRUE(engine.ok());
  Memory m(kPage);
  ASSERT_OK(map_dma(engine.container(), m.data(), 0, kPage));
  for (uint32_t i = 0; i < 10; i++) {
    for (int wait = 0; wait < 5000 && !engine.doorbell()->asleep; wait++)
      usleep(1000);
    ASSERT_EQ(engine.doorbell()->asleep, 1u);
    ASSERT_EQ(engine.run(fill_desc(0, i, 4)), 0u) << "ring() kicks it then";
  }
}

// --- several at once -------------------------------------------------------

TEST_F(MdevCopyLife, ManyEnginesAtOnce) {
  constexpr unsigned kEngines = 6;
  for (unsigned i = 0; i < kEngines; i++)
    create(i % 2 ? "64" : "256", test_uuid(i));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < kEngines; i++)
    threads.emplace_back([i] {
      CopyEngine engine(test_uuid(i),
                        i % 3 ? Doorbell::kTail : Doorbell::kPolled);
      ASSERT_TRUE(engine.ok());
      constexpr size_t kHalf = 64 * kPage;
      Memory m(2 * kHalf), expected(2 * kHalf);
      fill_random(m.data(), m.size(), i);
      memcpy(expected.data(), m.data(), m.size());
      ASSERT_OK(map_dma(engine.container(), m.data(), kFrom, m.size()));
      std::mt19937 random(i);
      for (int round = 0; round < 15; round++) {
        uint32_t last = 0;
        for (int job = 0; job < 20; job++) {
          const size_t length = 1 + random() % (3 * kPage);
          const size_t from = random() % (kHalf - length);
          const size_t to = kHalf + random() % (kHalf - length);
          last =
              engine.push(copy_desc(kFrom + to, kFrom + from,
                                    static_cast<uint32_t>(length), job == 19));
          memcpy(expected.at(to), expected.at(from), length);
        }
        engine.ring();
        EXPECT_TRUE(wait_event(engine.irq(), 20000));
        ASSERT_EQ(engine.wait(last), 0u);
        ASSERT_EQ(memcmp(m.data(), expected.data(), m.size()), 0) << i;
        if (round % 5 == 4) {
          ASSERT_OK(unmap_dma(engine.container(), kFrom, m.size()).result);
          ASSERT_OK(map_dma(engine.container(), m.data(), kFrom, m.size()));
        }
      }
    });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(MdevCopyLife, TwoEnginesInOneContainer) {
  create("64", test_uuid(1));
  create("64", test_uuid(2));
  CopyEngine first(test_uuid(1));
  ASSERT_TRUE(first.ok());
  CopyEngine second(test_uuid(2), Doorbell::kPolled, first.container());
  ASSERT_TRUE(second.ok());
  Memory m(32 * kPage);
  fill_random(m.data(), 16 * kPage, 1);
  ASSERT_OK(map_dma(first.container(), m.data(), kFrom, m.size()));
  const uint64_t locked = locked_pages();
  EXPECT_EQ(first.run(copy_desc(kFrom + 16 * kPage, kFrom, 16 * kPage)), 0u);
  const uint32_t slot = second.push(crc_desc(kFrom, 32 * kPage));
  second.ring();
  EXPECT_EQ(second.wait(slot), 0u);
  EXPECT_EQ(second.at(slot).result, crc32_of(m.data(), m.size()));
  // Both rings' pages come first.
  EXPECT_LE(locked_pages() - locked, 34u) << "what both pin is accounted once";
  EXPECT_EQ(unmap_dma(first.container(), kFrom, m.size()).size, m.size());
  EXPECT_EQ(first.pinned(), 2u);
  EXPECT_EQ(second.pinned(), 2u);
  EXPECT_EQ(second.run(crc_desc(kFrom, 4)), MDEV_COPY_ERR_IOVA);
  first.close();
  Memory other(kPage);
  ASSERT_OK(map_dma(second.container(), other.data(), 0, kPage));
  EXPECT_EQ(second.run(fill_desc(0, 3, kPage)), 0u);
}

}  // namespace
}  // namespace stack
