// SPDX-License-Identifier: GPL-2.0
//
// DMA of gated devices: none reaches memory while a device is blocked, what is
// mapped and unmapped meanwhile counts when it opens, and groups are switched
// whole.
#include <string.h>

#include "gate.hpp"

namespace stack {
namespace {

constexpr uint32_t kCommand = 0x98, kRun = 1, kFromDevice = 2;
// A register of an edu that reads as the complement of what was written to it.
constexpr uint32_t kLiveness = 4;
// What the writer writes, and where it is to have the window mapped.
constexpr uint32_t kValue = 0x13579bdf;
constexpr uint64_t kWindow = kFirstIova + kHuge;

class GateDma : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("no gates");
    devices = lone_devices();
    ASSERT_GE(devices.size(), 2u);
  }

  void open(bool wait_for_dma) {
    ASSERT_OK(scheduler.add(devices[0], wait_for_dma));
    s = Session({devices[0]});
    ASSERT_TRUE(s.ok());
    edu = std::make_unique<Edu>(s.device());
    ASSERT_OK(map(memory, kFirstIova));
    ASSERT_TRUE(edu->store(kFirstIova, 0, 8)) << "the device's DMA works";
    memory.touch(0xaa);
  }

  // Opens a gated device, whose window is mapped for the CPU but not touched,
  // and another one, the writer, which has fetched kValue.
  void open_with_writer() {
    ASSERT_OK(scheduler.add(devices[0]));
    s = Session({devices[0]});
    ASSERT_TRUE(s.ok());
    edu = std::make_unique<Edu>(s.device());
    other = Session({devices[1]});
    ASSERT_TRUE(other.ok());
    writer = std::make_unique<Edu>(other.device());
    bar = region_info(s.device(), 0);
    window = Memory(bar.size, PROT_READ | PROT_WRITE, MAP_SHARED, s.device(),
                    static_cast<off_t>(bar.offset));
    ASSERT_TRUE(window.ok());
    memcpy(memory.data(), &kValue, sizeof kValue);
    ASSERT_OK(map_dma(other.container(), memory.data(), kFirstIova, kPage));
    ASSERT_TRUE(writer->fetch(kFirstIova, 0, 4));
  }

  long map(const Memory& to, uint64_t iova) {
    vfio_iommu_type1_dma_map arg{};
    arg.argsz = sizeof arg;
    arg.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
    arg.vaddr = reinterpret_cast<uintptr_t>(to.data());
    arg.iova = iova;
    arg.size = to.size();
    return call(s.container(), VFIO_IOMMU_MAP_DMA, &arg);
  }

  long unmap(uint64_t iova, uint64_t size) {
    vfio_iommu_type1_dma_unmap arg{};
    arg.argsz = sizeof arg;
    arg.iova = iova;
    arg.size = size;
    return call(s.container(), VFIO_IOMMU_UNMAP_DMA, &arg);
  }

  // Has the device begin to write 8 bytes of its buffer; it takes 100 ms.
  void begin_store(uint64_t iova) {
    edu->write64(0x80, 0x40000);
    edu->write64(0x88, iova);
    edu->write64(0x90, 8);
    edu->write32(kCommand, kRun | kFromDevice);
  }

  // Waits for what was begun.
  void await_engine() {
    for (int i = 0; i < 5000 && edu->read32(kCommand) & kRun; i++) usleep(1000);
    EXPECT_EQ(edu->read32(kCommand) & kRun, 0u);
  }

  std::vector<PciDevice> devices;
  Scheduler scheduler;
  Session s;
  std::unique_ptr<Edu> edu;
  Memory memory{kPage};
  // Of open_with_writer().
  Session other;
  std::unique_ptr<Edu> writer;
  vfio_region_info bar{};
  Memory window;
};

TEST_F(GateDma, NoneReachesMemoryWhileBlocked) {
  open(false);
  begin_store(kFirstIova);
  ASSERT_OK(scheduler.block());
  usleep(300000);
  ASSERT_OK(scheduler.open());
  await_engine();
  EXPECT_EQ(memory.data()[0], 0xaa) << "what came in between was dropped";
  EXPECT_TRUE(edu->store(kFirstIova, 0, 8));
  EXPECT_NE(memory.data()[0], 0xaa);
}

TEST_F(GateDma, AHookDrainsTheDevice) {
  open(true);
  begin_store(kFirstIova);
  ASSERT_OK(scheduler.block(0, 2000000));
  EXPECT_NE(memory.data()[0], 0xaa) << "it was waited for";
  EXPECT_EQ(gate_info(s.device()).undrained, 0u);
  ASSERT_OK(scheduler.open());
  memory.touch(0xaa);
  begin_store(kFirstIova);
  ASSERT_OK(scheduler.block(0, 1000));
  EXPECT_EQ(gate_info(s.device()).undrained, 1u);
  usleep(300000);
  EXPECT_EQ(memory.data()[0], 0xaa) << "it came after the deadline";
  ASSERT_OK(scheduler.open());
  await_engine();
}

TEST_F(GateDma, MappingsOfABlockedDeviceCountWhenItOpens) {
  open(false);
  Memory second(kPage);
  second.touch(0xbb);
  ASSERT_OK(scheduler.block());
  EXPECT_OK(map(second, kFirstIova + kPage));
  EXPECT_OK(unmap(kFirstIova, kPage));
  ASSERT_OK(scheduler.open());
  EXPECT_TRUE(edu->store(kFirstIova + kPage, 0, 8));
  EXPECT_NE(second.data()[0], 0xbb);
  EXPECT_TRUE(edu->store(kFirstIova, 0, 8));
  EXPECT_EQ(memory.data()[0], 0xaa);
}

// Detaching a group from a domain frees what VT-d's flushes of the domain go
// through, before 6.10.
TEST_F(GateDma, IsSwitchedWhileMemoryIsMappedAndUnmapped) {
  ASSERT_OK(scheduler.add(devices[0]));
  s = Session({devices[0]});
  ASSERT_TRUE(s.ok());
  Child user([&](Child& self) {
    const Memory pages(256 * kPage);
    self.notify();
    while (!self.await(0)) {
      ASSERT_OK(map(pages, kWindow));
      ASSERT_OK(unmap(kWindow, pages.size()));
    }
  });
  ASSERT_TRUE(user.await());
  for (int i = 0; i < 2000; i++) {
    ASSERT_OK(scheduler.block());
    ASSERT_OK(scheduler.open());
  }
  user.notify();
  user.wait();
}

TEST_F(GateDma, ItMayBeOpenedAndClosedBlocked) {
  ASSERT_OK(scheduler.add(devices[0]));
  ASSERT_OK(scheduler.block());
  for (int i = 0; i < 2; i++) {
    s = Session({devices[0]});
    ASSERT_TRUE(s.ok());
    EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_BLOCKED});
    s = Session();
  }
  ASSERT_OK(scheduler.open());
  s = Session({devices[0]});
  ASSERT_TRUE(s.ok());
  edu = std::make_unique<Edu>(s.device());
  ASSERT_OK(map(memory, kFirstIova));
  memory.touch(0xaa);
  EXPECT_TRUE(edu->store(kFirstIova, 0, 8));
  EXPECT_NE(memory.data()[0], 0xaa);
}

TEST_F(GateDma, AnErrorBeforeOpeningKeepsItBlocked) {
  ASSERT_OK(scheduler.add(devices[0], false, false, ENXIO));
  s = Session({devices[0]});
  ASSERT_TRUE(s.ok());
  ASSERT_OK(scheduler.block());
  EXPECT_ERR(ENXIO, scheduler.open());
  EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_BLOCKED});
}

TEST_F(GateDma, OneStepFromOneToAnother) {
  open(false);
  ASSERT_OK(scheduler.add(devices[1]));
  ASSERT_OK(scheduler.block(1));
  ASSERT_OK(scheduler.switch_to(0, 1));
  EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_BLOCKED});
  ASSERT_OK(scheduler.switch_to(1, 0));
  EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_OPEN});
  EXPECT_TRUE(edu->store(kFirstIova, 0, 8));
  EXPECT_NE(memory.data()[0], 0xaa);
}

TEST_F(GateDma, AGroupIsNotSwitchedUnderAnotherDevice) {
  std::vector<PciDevice> pair = edu_pair();
  if (pair.empty()) GTEST_SKIP() << "no two devices share a group";
  ASSERT_OK(scheduler.add(pair[0]));
  s = Session({pair[0]});
  ASSERT_TRUE(s.ok());
  Fd second = get_device(s.group(), pair[1].bdf);
  ASSERT_OK(second.get());
  EXPECT_ERR(EBUSY, scheduler.block());
  second.reset();
  EXPECT_OK(scheduler.block());
  second = get_device(s.group(), pair[1].bdf);
  EXPECT_ERR(EBUSY, second.get());
  EXPECT_OK(scheduler.open());
}

// Another device does DMA to a register of a gated one, through a mapping that
// was made while that was open.
TEST_F(GateDma, OtherDevicesDoNotReachAWindow) {
  open_with_writer();
  ASSERT_OK(map_dma(other.container(), window.data(), kWindow, bar.size));
  const auto reached = [&] {
    EXPECT_TRUE(writer->store(kWindow + kLiveness, 0, 4));
    return edu->read32(kLiveness) == ~kValue;
  };
  edu->write32(kLiveness, 0);
  EXPECT_TRUE(reached());
  for (int i = 0; i < 2; i++) {
    edu->write32(kLiveness, 0);
    ASSERT_OK(scheduler.block());
    EXPECT_TRUE(writer->store(kWindow + kLiveness, 0, 4));
    ASSERT_OK(scheduler.open());
    EXPECT_EQ(edu->read32(kLiveness), ~0u) << "it was not reached";
    EXPECT_TRUE(reached()) << "it is again";
  }
  ASSERT_OK(scheduler.block());
  window = Memory();
  edu.reset();
  s = Session();
  EXPECT_EQ(unmap_dma(other.container(), kWindow, bar.size).size, bar.size)
      << "unmapped while it is taken out";
  ASSERT_OK(scheduler.open());
}

TEST_F(GateDma, AWindowOfABlockedDeviceIsMappedWithoutWaiting) {
  open(false);
  const vfio_region_info bar = region_info(s.device(), 0);
  Memory window(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, s.device(),
                static_cast<off_t>(bar.offset));
  ASSERT_TRUE(window.ok());
  ASSERT_OK(scheduler.block());
  EXPECT_OK(map(window, kFirstIova + kPage)) << "without waiting";
  EXPECT_ERR(EEXIST, map(window, kFirstIova + kPage));
  EXPECT_OK(unmap(kFirstIova + kPage, kPage));
  EXPECT_OK(map(window, kFirstIova + kPage));
  ASSERT_OK(scheduler.open());
  EXPECT_OK(unmap(kFirstIova + kPage, kPage));
  ASSERT_OK(scheduler.trap());
  EXPECT_OK(map(window, kFirstIova + kPage));
}

// Another device's mapping of a window that nobody has touched, made while that
// device is blocked.
TEST_F(GateDma, AWindowOfABlockedDeviceIsReachedWhenThatOpens) {
  open_with_writer();
  edu->write32(kLiveness, 0);
  ASSERT_OK(scheduler.block());
  ASSERT_OK(map_dma(other.container(), window.data(), kWindow, bar.size));
  Memory readonly(kPage, PROT_READ, MAP_SHARED, s.device(),
                  static_cast<off_t>(bar.offset));
  EXPECT_ERR(EFAULT, map_dma(other.container(), readonly.data(),
                             kWindow + kHuge, kPage));
  EXPECT_TRUE(writer->store(kWindow + kLiveness, 0, 4));
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(edu->read32(kLiveness), ~0u) << "it was blocked";
  EXPECT_TRUE(writer->store(kWindow + kLiveness, 0, 4));
  EXPECT_EQ(edu->read32(kLiveness), ~kValue);
  EXPECT_EQ(unmap_dma(other.container(), kWindow, bar.size).size, bar.size);
}

}  // namespace
}  // namespace stack
