// SPDX-License-Identifier: GPL-2.0
//
// A scheduler of devices (vfio_testgate.ko), and what users of a gated device
// ask.
#pragma once

#include "../kmod/vfio_testgate.h"
#include "harness.hpp"
#include "uapi/vfio_gate.h"

namespace stack {

// The scheduler of some devices, until it is destroyed.
class Scheduler {
 public:
  Scheduler();

  // Result or -errno. Slots count up from 0. With edu, blocking waits for
  // QEMU's edu to end its DMA.
  long add(const PciDevice& device, bool edu = false, bool may_switch = false,
           int open_errno = 0, bool hold = false);
  long block(uint32_t slot = 0, uint32_t deadline_us = 100000);
  long trap(uint32_t slot = 0, uint32_t deadline_us = 100000);
  long open(uint32_t slot = 0);
  long switch_to(uint32_t from, uint32_t to, uint32_t deadline_us = 100000);
  // Pins memory for remap() until close(). 0 or -errno.
  long pin(const Memory& memory);
  // What the scheduler's vfio_gate_remap() returned, or -errno; it flushes
  // then.
  long remap(const std::vector<vfio_testgate_page>& pages, uint32_t slot = 0);
  void close() { fd_.reset(); }

 private:
  long request(unsigned long number, uint32_t slot, uint32_t to,
               uint32_t deadline_us);

  Fd fd_;
  uint32_t slots_ = 0;
};

vfio_device_gate_info gate_info(int device);
long gate_set(int device, uint32_t flags, uint32_t state,
              uint32_t limit_ms = 0);
// Waits until as many threads wait for the device; false after some seconds.
bool await_waiting(int device, uint32_t threads);

// One device with a scheduler.
class GateTest : public testing::Test {
 protected:
  void SetUp() override;

  PciDevice pci;
  Scheduler scheduler;
  Session s;
};

}  // namespace stack
