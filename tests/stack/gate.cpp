// SPDX-License-Identifier: GPL-2.0
#include "gate.hpp"

#include <string.h>

namespace stack {

Scheduler::Scheduler() {
  if (on_stock()) return;
  EXPECT_EQ(system("modprobe vfio_testgate"), 0);
  fd_ = open_path("/dev/vfio_testgate");
  EXPECT_OK(fd_.get());
}

long Scheduler::add(const PciDevice& device, bool edu, bool may_switch,
                    int open_errno, bool hold) {
  vfio_testgate_add add{};
  add.slot = slots_;
  strncpy(add.name, device.bdf.c_str(), sizeof add.name - 1);
  add.open_errno = open_errno;
  add.may_switch = may_switch;
  add.edu = edu;
  add.hold = hold;
  const long result = call(fd_, VFIO_TESTGATE_ADD, &add);
  if (result == 0) slots_++;
  return result;
}

long Scheduler::request(unsigned long number, uint32_t slot, uint32_t to,
                        uint32_t deadline_us) {
  vfio_testgate_switch arg{slot, to, deadline_us, 0};
  return call(fd_, number, &arg);
}

long Scheduler::block(uint32_t slot, uint32_t deadline_us) {
  return request(VFIO_TESTGATE_BLOCK, slot, slot, deadline_us);
}

long Scheduler::trap(uint32_t slot, uint32_t deadline_us) {
  return request(VFIO_TESTGATE_TRAP, slot, slot, deadline_us);
}

long Scheduler::open(uint32_t slot) {
  return request(VFIO_TESTGATE_OPEN, slot, slot, 0);
}

long Scheduler::switch_to(uint32_t from, uint32_t to, uint32_t deadline_us) {
  return request(VFIO_TESTGATE_SWITCH, from, to, deadline_us);
}

long Scheduler::pin(const Memory& memory) {
  vfio_testgate_pin arg{reinterpret_cast<uintptr_t>(memory.data()),
                        static_cast<uint32_t>(memory.size() / kPage)};
  return call(fd_, VFIO_TESTGATE_PIN, &arg);
}

long Scheduler::remap(const std::vector<vfio_testgate_page>& pages,
                      uint32_t slot) {
  vfio_testgate_remap arg{};
  arg.slot = slot;
  arg.count = static_cast<uint32_t>(pages.size());
  arg.flush = 1;
  arg.pages = reinterpret_cast<uintptr_t>(pages.data());
  const long result = call(fd_, VFIO_TESTGATE_REMAP, &arg);
  return result ? result : arg.done;
}

vfio_device_gate_info gate_info(int device) {
  vfio_device_gate_info info{};
  info.argsz = sizeof info;
  EXPECT_OK(call(device, VFIO_DEVICE_GATE_INFO, &info));
  return info;
}

long gate_set(int device, uint32_t flags, uint32_t state, uint32_t limit_ms) {
  vfio_device_gate_set set{sizeof set, flags, state, 100000, limit_ms};
  return call(device, VFIO_DEVICE_GATE_SET, &set);
}

bool await_waiting(int device, uint32_t threads) {
  for (int i = 0; i < 5000; i++) {
    if (gate_info(device).waiting == threads) return true;
    usleep(1000);
  }
  return false;
}

void GateTest::SetUp() {
  SKIP_ON_STOCK("no gates");
  std::vector<PciDevice> devices = lone_devices();
  ASSERT_FALSE(devices.empty());
  pci = devices[0];
  ASSERT_OK(scheduler.add(pci));
  s = Session({pci});
  ASSERT_TRUE(s.ok());
}

}  // namespace stack
