// SPDX-License-Identifier: GPL-2.0
//
// What is done to one of QEMU's edu devices (1234:11e8) all the time, each kind by a thread of
// its own with registers of its own. Throws a std::runtime_error if the device does not do what
// it was told.
#pragma once

#include <atomic>
#include <string>

#include "record.hpp"
#include "vfio.hpp"

struct Outcome {
  Record record;
  // Work that was done again: DMA that did not arrive.
  unsigned dropped = 0;
};

// kind: "mmap", reads and writes registers as they are mapped; "calls", by read() and write();
// "dma", has the device copy memory, and records when it arrived; "guest", a guest of KVM reads a
// register. Goes on until stop is set.
void work(const std::string& kind, Device& device, const std::atomic<bool>& stop, Outcome& outcome);
bool is_work(const std::string& kind);
