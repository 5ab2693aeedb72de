// SPDX-License-Identifier: GPL-2.0
//
// Counts the IOTLB invalidations that a VT-d driver queues, by the kernel's tracepoint.
#pragma once

#include <cstdint>

namespace bench {

class Flushes {
 public:
  // Other IOMMU drivers have no such tracepoint.
  static bool can_count();

  template <typename Call>
  static double count(Call&& call) {
    begin();
    call();
    return static_cast<double>(end());
  }

 private:
  static void begin();
  static std::uint64_t end();
};

}  // namespace bench
