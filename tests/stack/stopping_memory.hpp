// SPDX-License-Identifier: GPL-2.0
//
// Memory that stops whoever touches it first: the kernel in the middle of an
// ioctl, at the copy that a test chose by where it put a structure. While it
// is stopped the test does something else to the same container, and then
// lets it go on. It is done by userfaultfd(2).
#pragma once

#include <optional>

#include "harness.hpp"

namespace stack {

class StoppingMemory {
 public:
  explicit StoppingMemory(size_t pages);
  // Whoever is still stopped goes on, and finds zeros.
  ~StoppingMemory() { close(); }
  StoppingMemory(const StoppingMemory&) = delete;

  bool ok() const { return fault_fd_.valid(); }
  uint8_t* at(size_t offset) const { return memory_.at(offset); }
  size_t size() const { return memory_.size(); }

  // Waits until something is stopped at a page; returns that page's offset,
  // or nothing within the time. Returns the same page again if two threads
  // touched it.
  std::optional<size_t> wait_touched(int timeout_ms = 20000);
  // Gives the page at `offset` its content, a whole page, or zeros; whoever is
  // stopped at it goes on. Returns 0 or -errno.
  long let_go(size_t offset, const void* content = nullptr);
  // Takes all stops away: pages without content are zeros from now on.
  void close() { fault_fd_.reset(); }

 private:
  Memory memory_;
  Fd fault_fd_;
};

}  // namespace stack
