// SPDX-License-Identifier: GPL-2.0
//
// Counts the invalidations that a VT-d driver queues, by the kernel's tracepoint.
#pragma once

#include <cstdint>

namespace bench {

class Flushes {
 public:
  // Of the IOMMU's TLB, and of devices' own (ATS).
  struct Counts {
    std::uint64_t iotlb = 0;
    std::uint64_t device_tlb = 0;
  };

  // Other IOMMU drivers have no such tracepoint.
  static bool can_count();

  template <typename Call>
  static Counts count(Call&& call) {
    begin();
    call();
    return end();
  }

 private:
  static void begin();
  static Counts end();
};

// Counts how often a processor was told to forget pages of its own TLB, by the kernel's tracepoint:
// by itself or by another, but not because it came to another task.
class TlbFlushes {
 public:
  static bool can_count();

  template <typename Call>
  static std::uint64_t count(Call&& call) {
    begin();
    call();
    return end();
  }

 private:
  static void begin();
  static std::uint64_t end();
};

}  // namespace bench
