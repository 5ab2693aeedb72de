// SPDX-License-Identifier: GPL-2.0
//
// What the kernel's IOMMU driver tells VT-d to forget while a test does
// something: counted by the kernel's own tracepoint of the invalidation queue.
#pragma once

#include <functional>

#include "harness.hpp"

namespace stack {

struct Invalidations {
  uint64_t iotlb = 0;       // of the IOMMU's TLB
  uint64_t device_tlb = 0;  // of devices' own TLBs (ATS)
};

// Those that are queued while `body` runs. Another IOMMU than VT-d is a
// failure.
Invalidations count_invalidations(const std::function<void()>& body);

}  // namespace stack
