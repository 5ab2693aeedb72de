// SPDX-License-Identifier: GPL-2.0
//
// Pinning the memory of a dma range: all of it for hardware domains, or the pages
// that a device asks for (external pages).
#pragma once

#include "dma_range.hpp"

namespace vfio {

// Pins all of a dma range, which is busy or the caller's alone, into its pins, and
// charges the owner for pages that count and are not charged yet. On error nothing
// is pinned or charged. If there is no memory, the log names a device of group.
// workers is how many threads may pin a large range together; 0 stands for one
// for each CPU that the caller may use.
// Errors: EFAULT for memory that is not there or may not be written, ENOMEM
// (also over RLIMIT_MEMLOCK), ENODEV if the process has gone, EINTR.
Result<void> pin_range(DmaRange &dma, iommu_group *group, u32 workers);

// Undoes pin_range(), but for the charge: the owner stays charged.
void unpin_range(DmaRange &dma);

// Pins pages of a dma range that is held, for a device behind an emulated
// IOMMU; all or none. The caller charges the owner.
// Errors: those of pin_range(), and EINVAL for memory without struct pages.
Result<void> pin_external(const DmaRange &dma, ExternalPages &pages);

} // namespace vfio
