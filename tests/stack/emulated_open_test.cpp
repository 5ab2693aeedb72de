// SPDX-License-Identifier: GPL-2.0
//
// Drivers that pin while they are opened, and devices that may not pin at all.
#include <unistd.h>

#include <thread>

#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x100000;

class EmulatedOpen : public OneTestdev {
 protected:
  void SetUp() override {
    OneTestdev::SetUp();
    m = Memory(4 * kPage);
    m.touch(1);
    ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
    s->device_fd().reset();
    before = locked_pages();
  }
  // From the next open on the driver pins so many pages then.
  void pin_at_open(int npage, uint64_t iova = kIova, uint32_t delay_ms = 0) {
    vfio_testdev_act act{};
    act.what = VFIO_TESTDEV_ACT_PIN;
    if (delay_ms) act.what |= VFIO_TESTDEV_ACT_KVM_LOCK;  // has no machine
    act.iova = iova;
    act.npage = npage;
    act.delay_ms = delay_ms;
    dev->act(act);
  }
  // Unmaps while the driver is in its open_device, having pinned.
  void unmap_meanwhile() {
    const uint32_t waits = dev->stats().waits;
    long opened = 0;
    std::thread opener([&] { opened = open(); });
    for (int i = 0; i < 1000 && dev->stats().waits == waits; i++) usleep(10000);
    EXPECT_EQ(dev->stats().waits, waits + 1);
    EXPECT_EQ(dev->stats().open_pin, 4);
    EXPECT_EQ(locked_pages(), before + 4);
    EXPECT_EQ(unmap_dma(s->container(), kIova, m.size()).size, m.size());
    EXPECT_EQ(locked_pages(), before);
    EXPECT_EQ(dev->stats().opens, 1u) << "the unmap did not wait for the open";
    opener.join();
    result = opened;
  }
  long open() {
    s->device_fd() = get_device(s->group(), dev->name());
    return s->device_fd().get();
  }
  Memory m;
  uint64_t before = 0;
  long result = 0;
};

TEST_F(EmulatedOpen, ADriverPins) {
  pin_at_open(4);
  ASSERT_OK(open());
  EXPECT_EQ(dev->stats().open_pin, 4);
  EXPECT_EQ(locked_pages(), before + 4);
  EXPECT_EQ(unmap_dma(s->container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(dev->stats().unmaps, 1u) << "the driver hears of the unmap";
  EXPECT_EQ(locked_pages(), before);
}

TEST_F(EmulatedOpen, PinsAreGivenBackAtClose) {
  pin_at_open(2);
  for (int i = 0; i < 3; i++) {
    ASSERT_OK(open());
    EXPECT_EQ(dev->stats().open_pin, 2);
    Fd again = get_device(s->group(), dev->name());
    EXPECT_OK(again.get());
    s->device_fd().reset();
    EXPECT_EQ(locked_pages(), before + 2) << "another file has it open";
    again.reset();
    EXPECT_EQ(locked_pages(), before);
  }
  EXPECT_EQ(dev->stats().opens, 4u) << "and once before";
}

// A driver that has pinned hears of the unmap before it has been opened.
TEST_F(EmulatedOpen, UnmapWhileADriverOpens) {
  pin_at_open(4, kIova, 1000);
  unmap_meanwhile();
  EXPECT_OK(result);
  EXPECT_EQ(dev->stats().unmaps, 1u);
  pin_at_open(1);
  s->device_fd().reset();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_OK(open());
  EXPECT_EQ(dev->stats().open_pin, 1);
}

TEST_F(EmulatedOpen, UnmapWhileADriverFailsToOpen) {
  pin_at_open(4, kIova, 1000);
  dev->fail_open(EIO);
  unmap_meanwhile();
  EXPECT_ERR(EIO, result);
  EXPECT_EQ(dev->stats().unmaps, 1u);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  EXPECT_EQ(unmap_dma(s->container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(dev->stats().unmaps, 1u);
}

TEST_F(EmulatedOpen, WhatIsNotMappedCannotBePinned) {
  pin_at_open(1, kIova + m.size());
  ASSERT_OK(open());
  EXPECT_EQ(errno_name(dev->stats().open_pin), errno_name(-EINVAL));
  EXPECT_EQ(pin(s->device(), kIova, 1), 1);
}

// When the open fails, the IOMMU driver forgets the device, and does not call
// its dma_unmap later.
TEST_F(EmulatedOpen, FailsAfterThePin) {
  pin_at_open(4);
  dev->fail_open(EIO);
  for (int i = 0; i < 3; i++) EXPECT_ERR(EIO, open());
  EXPECT_EQ(dev->stats().open_pin, 4);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(unmap_dma(s->container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(dev->stats().unmaps, 0u);
  dev->fail_open(0);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_OK(open());
  EXPECT_EQ(dev->stats().open_pin, 4);
  EXPECT_EQ(locked_pages(), before + 4);
}

// A driver without dma_unmap could not be told to unpin, though the other can.
TEST(EmulatedOpenKinds, DeviceWithoutDmaUnmapCannotPinBesideOneThatHas) {
  Testdev full, quiet({.kind = VFIO_TESTDEV_NO_UNMAP});
  ASSERT_TRUE(full.ok() && quiet.ok());
  TestdevSession s({&full, &quiet});
  ASSERT_TRUE(s.ok());
  Memory m(kPage);
  m.touch(5);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EINVAL, pin(s.device(1), kIova, 1));
  EXPECT_ERR(EINVAL, pin(s.device(1), kIova, 513)) << "for no number of pages";
  EXPECT_ERR(EINVAL, pin(s.device(1), kIova, 1, kRead, VFIO_TESTDEV_KTHREAD));
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(pin(s.device(0), kIova, 1), 1);
  char byte = 0;
  EXPECT_OK(dma_read(s.device(1), kIova, &byte, 1)) << "copying needs no pin";
  EXPECT_EQ(byte, 5);
  // If a faulty module has let it pin, the unmap would not end: close it first.
  s.device_fd(1).reset();
  EXPECT_EQ(unmap_dma(s.container(), kIova, m.size()).size, m.size());
  EXPECT_EQ(locked_pages(), before);
}

}  // namespace
