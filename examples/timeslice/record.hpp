// SPDX-License-Identifier: GPL-2.0
//
// The times at which a worker reached its device, or the device's DMA arrived.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

// Of CLOCK_MONOTONIC, as the kernel's trace has it with trace_clock mono.
inline std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// Nanoseconds just before and just after.
struct Access {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class Record {
 public:
  // What call() returns.
  template <typename Call>
  auto access(Call&& call) {
    struct Added {
      Record& record;
      Access access{now_ns(), 0};
      ~Added() {
        access.end = now_ns();
        record.add(access);
      }
    } added{*this};
    return call();
  }
  void add(const Access& access) { accesses_.push_back(access); }

  const std::vector<Access>& accesses() const { return accesses_; }

 private:
  std::vector<Access> accesses_;
};
