// SPDX-License-Identifier: GPL-2.0
//
// What the kernel's IOMMU driver tells an IOMMU to forget while a test does
// something: VT-d by the kernel's own tracepoint of the invalidation queue,
// AMD's by probes of the driver's functions.
#pragma once

#include <functional>

#include "harness.hpp"

namespace stack {

struct Invalidations {
  uint64_t iotlb = 0;       // of the IOMMU's TLB
  uint64_t device_tlb = 0;  // of devices' own TLBs (ATS)
};

// Which IOMMU this machine has.
bool has_vtd();

// Those that are asked for while `body` runs. An IOMMU of neither kind is a
// failure.
Invalidations count_invalidations(const std::function<void()>& body);

}  // namespace stack
