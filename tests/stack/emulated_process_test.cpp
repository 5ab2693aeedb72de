// SPDX-License-Identifier: GPL-2.0
//
// Pins outlive calls, and processes end in between: whose memory is pinned
// and charged, and what is left when the process has gone.
#include <string.h>
#include <sys/wait.h>

#include "testdev.hpp"

using namespace stack;

namespace {

constexpr uint64_t kIova = 0x10000000;

class EmulatedProcess : public OneTestdev {};

TEST_F(EmulatedProcess, ChargesTheOneThatMapped) {
  Child child([&](Child& self) {
    Memory m(4 * kPage);
    m.touch(1);
    ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
    self.notify();
    ASSERT_TRUE(self.await()) << "the parent pins";
    EXPECT_EQ(locked_pages(), 3u) << "pinned by another process, charged here";
    self.notify();
    ASSERT_TRUE(self.await()) << "the parent unpins";
    EXPECT_EQ(locked_pages(), 0u);
  });
  ASSERT_TRUE(child.await());
  uint64_t before = locked_pages();
  EXPECT_EQ(pin(s->device(), kIova, 3), 3);
  EXPECT_EQ(locked_pages(), before);
  EXPECT_EQ(locked_pages(child.pid()), 3u);
  child.notify();
  ASSERT_TRUE(child.await());
  EXPECT_OK(unpin(s->device(), kIova, 3));
  child.notify();
  child.wait();
}

TEST_F(EmulatedProcess, PinAfterTheMapperHasGone) {
  in_child([&] {
    Memory m(4 * kPage);
    m.touch(1);
    ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
    ASSERT_EQ(pin(s->device(), kIova, 2), 2);
    m.release();  // keep it until the exit
  });
  EXPECT_ERR(ENODEV, pin(s->device(), kIova + 2 * kPage, 1));
  EXPECT_EQ(pin(s->device(), kIova, 2), 2)
      << "what is pinned already needs no process";
  char byte = 0;
  EXPECT_ERR(EPERM, dma_read(s->device(), kIova, &byte, 1));
  EXPECT_ERR(EPERM,
             dma_read(s->device(), kIova, &byte, 1, VFIO_TESTDEV_KTHREAD));
  EXPECT_OK(unpin(s->device(), kIova, 2));
  Unmapped u = unmap_dma(s->container(), kIova, 4 * kPage);
  EXPECT_OK(u.result);
  EXPECT_EQ(u.size, 4 * kPage);
  EXPECT_EQ(unmap_events(s->device()).size(), 1u) << "one pin each was left";
}

TEST(EmulatedExit, KilledWithPagesPinned) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  Child child([&](Child& self) {
    TestdevSession s({&dev});
    Memory m(16 * kPage);
    m.touch(1);
    ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
    ASSERT_EQ(pin(s.device(), kIova, 16), 16);
    ASSERT_EQ(pin(s.device(), kIova, 4), 4);
    self.notify();
    pause();
  });
  ASSERT_TRUE(child.await());
  child.kill();
  child.wait(SIGKILL);
  EXPECT_EQ(dev.stats().opens, 1u);
  EXPECT_EQ(dev.stats().closes, 1u) << "the exit closed the device";
  TestdevSession again({&dev});
  EXPECT_TRUE(again.ok()) << "and freed the group";
}

// Whatever the fds' order, the device fd keeps group and container.
TEST_F(EmulatedProcess, TheDeviceFdAloneKeepsTheMappings) {
  Memory m(4 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 2), 2);
  s->container_fd().reset();
  s->group_fd().reset();
  EXPECT_EQ(pin(s->device(), kIova + 2 * kPage, 2), 2);
  uint8_t byte = 8;
  EXPECT_OK(dma_write(s->device(), kIova, &byte, 1));
  EXPECT_EQ(m.data()[0], 8);
  EXPECT_OK(unpin(s->device(), kIova, 1));
  EXPECT_EQ(locked_pages(), before + 3);
  EXPECT_ERR(EBUSY, open_path(dev->node()).get()) << "the group is still open";
  s->device_fd().reset();
  EXPECT_EQ(locked_pages(), before);
  EXPECT_OK(open_path(dev->node()).get()) << "now it is free";
}

// The frames of a dead process stay the device's until it lets go.
TEST_F(EmulatedProcess, PinnedMemoryOutlivesTheMapper) {
  std::vector<uint64_t> before, after;
  in_child([&] {
    Memory m(kPage);
    m.touch(0x5a);
    ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
    ASSERT_EQ(pin(s->device(), kIova, 1), 1);
    m.release();
  });
  ASSERT_EQ(pin(s->device(), kIova, 1, kRead, 0, &before), 1);
  Memory pressure(256 * kPage);  // would reuse a freed frame
  pressure.touch(1);
  ASSERT_EQ(pin(s->device(), kIova, 1, kRead, 0, &after), 1);
  EXPECT_EQ(before, after);
  for (size_t i = 0; i < pressure.size(); i += kPage)
    ASSERT_NE(pfn_of(pressure.at(i)), before[0]) << "the frame was given away";
}

TEST_F(EmulatedProcess, ForkAfterPinKeepsTheParentsFrame) {
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, kPage));
  std::vector<uint64_t> pfns;
  ASSERT_EQ(pin(s->device(), kIova, 1, kRead | kWrite, 0, &pfns), 1);
  in_child([&] { m.data()[0] = 2; });
  m.data()[0] = 3;
  EXPECT_EQ(pfn_of(m.data()), pfns[0])
      << "copy on write must not take the pinned frame from its owner";
}

}  // namespace
