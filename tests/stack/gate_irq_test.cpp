// SPDX-License-Identifier: GPL-2.0
//
// Interrupts of gated devices: what a blocked device raises is held back until
// it opens, or let through, as its scheduler has said.
#include "gate.hpp"

namespace stack {
namespace {

constexpr uint32_t kRun = 1, kFromDevice = 2, kInterrupt = 4;
constexpr uint32_t kDmaInterrupt = 0x100;

class GateIrq : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("no gates");
    REQUIRE_DEVICES(1);
  }

  void open(bool hold, uint32_t index) {
    ASSERT_OK(scheduler.add(lone_devices()[0], false, false, 0, hold));
    s = Session({lone_devices()[0]});
    ASSERT_TRUE(s.ok());
    edu = std::make_unique<Edu>(s.device());
    ASSERT_OK(map_dma(s.container(), memory.data(), kFirstIova, kPage));
    ASSERT_OK(set_irq_eventfd(s.device(), index, event));
  }

  // Blocks the device while it does DMA, at the end of which, 100 ms later, it
  // interrupts.
  void block_before_interrupt() {
    edu->write64(0x80, 0x40000);
    edu->write64(0x88, kFirstIova);
    edu->write64(0x90, 8);
    edu->write32(0x98, kRun | kFromDevice | kInterrupt);
    ASSERT_OK(scheduler.block());
  }

  void arrives_after_opening() {
    EXPECT_EQ(wait_event(event, 500), std::nullopt) << "held back";
    ASSERT_OK(scheduler.open());
    EXPECT_EQ(wait_event(event, 5000), std::optional<uint64_t>(1));
    EXPECT_EQ(edu->irq_status(), kDmaInterrupt);
    edu->ack(kDmaInterrupt);
  }

  Scheduler scheduler;
  Session s;
  std::unique_ptr<Edu> edu;
  Memory memory{kPage};
  Fd event = make_eventfd();
};

TEST_F(GateIrq, AHeldMessageArrivesAfterOpening) {
  open(true, VFIO_PCI_MSI_IRQ_INDEX);
  for (int i = 0; i < 2; i++) {
    block_before_interrupt();
    arrives_after_opening();
  }
  ASSERT_OK(scheduler.block());
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(wait_event(event, 200), std::nullopt) << "none came";
}

TEST_F(GateIrq, AHeldLineArrivesAfterOpening) {
  open(true, VFIO_PCI_INTX_IRQ_INDEX);
  block_before_interrupt();
  arrives_after_opening();
}

TEST_F(GateIrq, OthersAreLetThrough) {
  open(false, VFIO_PCI_MSI_IRQ_INDEX);
  block_before_interrupt();
  EXPECT_EQ(wait_event(event, 5000), std::optional<uint64_t>(1));
  ASSERT_OK(scheduler.open());
  edu->ack(kDmaInterrupt);
}

TEST_F(GateIrq, TheyCannotBeChangedMeanwhile) {
  open(true, VFIO_PCI_MSI_IRQ_INDEX);
  block_before_interrupt();
  Child changes([&](Child&) {
    EXPECT_OK(disable_irqs(s.device(), VFIO_PCI_MSI_IRQ_INDEX));
    EXPECT_OK(set_irq_eventfd(s.device(), VFIO_PCI_MSI_IRQ_INDEX, event));
  });
  EXPECT_TRUE(await_waiting(s.device(), 1)) << "SET_IRQS waits";
  EXPECT_EQ(wait_event(event, 300), std::nullopt);
  ASSERT_OK(scheduler.open());
  changes.wait();
  (void)wait_event(event, 200);
  edu->ack(kDmaInterrupt);
  block_before_interrupt();
  arrives_after_opening();
}

TEST_F(GateIrq, ADeviceIsClosedWithHeldInterrupts) {
  for (uint32_t index : {VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_INTX_IRQ_INDEX}) {
    SCOPED_TRACE(index);
    s = Session();
    scheduler.close();
    scheduler = Scheduler();
    open(true, index);
    block_before_interrupt();
    usleep(300000);
    edu.reset();
    s = Session();
    s = Session({lone_devices()[0]});
    ASSERT_TRUE(s.ok());
    (void)wait_event(event, 0);
    ASSERT_OK(scheduler.open());
    edu = std::make_unique<Edu>(s.device());
    ASSERT_OK(map_dma(s.container(), memory.data(), kFirstIova, kPage));
    edu->ack(kDmaInterrupt);
    ASSERT_OK(set_irq_eventfd(s.device(), index, event));
    edu->raise(1);
    EXPECT_TRUE(wait_event(event, 5000).has_value());
    edu->ack(1);
    edu.reset();
  }
}

TEST_F(GateIrq, ADeviceWithoutInterrupts) {
  const PciDevice device = lone_devices()[0];
  // Its driver has used no message since it was bound.
  ASSERT_OK(unbind_driver(device.bdf));
  ASSERT_OK(bind_driver(device.bdf, "vfio-pci"));
  ASSERT_OK(scheduler.add(device, false, false, 0, true));
  s = Session({device});
  ASSERT_TRUE(s.ok());
  ASSERT_OK(scheduler.block());
  EXPECT_OK(scheduler.open());
  ASSERT_OK(scheduler.block());
  s = Session();
  EXPECT_OK(scheduler.open());
}

TEST_F(GateIrq, ManyVectors) {
  const std::vector<PciDevice> drives = pci_devices(0x1b36, 0x0010);
  ASSERT_FALSE(drives.empty());
  ASSERT_OK(scheduler.add(drives[0], false, false, 0, true));
  s = Session({drives[0]});
  ASSERT_TRUE(s.ok());
  alignas(8) uint8_t arg[sizeof(vfio_irq_set) + 8 * sizeof(int)] = {};
  auto* set = reinterpret_cast<vfio_irq_set*>(arg);
  set->argsz = sizeof arg;
  set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set->index = VFIO_PCI_MSIX_IRQ_INDEX;
  set->count = 8;
  for (int i = 0; i < 8; i++)
    reinterpret_cast<int*>(set->data)[i] = i % 2 ? event.get() : -1;
  ASSERT_OK(call(s.device(), VFIO_DEVICE_SET_IRQS, set));
  for (int i = 0; i < 3; i++) {
    ASSERT_OK(scheduler.block());
    ASSERT_OK(scheduler.open());
  }
  EXPECT_EQ(wait_event(event, 100), std::nullopt);
  EXPECT_OK(disable_irqs(s.device(), VFIO_PCI_MSIX_IRQ_INDEX));
}

}  // namespace
}  // namespace stack
