// SPDX-License-Identifier: GPL-2.0
//
// Pinning the owner's memory behind a dma range.
#pragma once

#include "dma/shim/pin.h"
#include "dma_range.hpp"
#include "pin_parts.hpp"

namespace vfio {

// Pins all of a dma range, which is the caller's alone, into its pins, and
// charges the owner for what counts and is not charged yet. On error nothing
// is pinned or charged. group is one that the pages are for: if there is no
// memory, the log names one of its devices. workers is how many threads may pin
// a large range together; 0: as many as the caller may use CPUs.
// Errors: EFAULT for memory that is not there or may not be written, ENOMEM
// (also over RLIMIT_MEMLOCK), ENODEV if the process has gone, EINTR.
Result<void> pin_range(DmaRange &dma, iommu_group *group, u32 workers);

// Unpins all of it. Accounting is the caller's.
inline void unpin_range(DmaRange &dma)
{
	const PinRun *single = dma.pins.single();

	// One page, as what is unmapped by itself is most often.
	if (single && single->npages() == 1 && single->pinned()) [[likely]] {
		shim_unpin_page(single->first().value, dma.writable());
		dma.pins.clear();
		return;
	}
	unpin_runs(dma.pins, dma.writable());
}

// Pins pages of a dma range that is held, for a device behind an emulated
// IOMMU; all or none. Accounting is the caller's.
// Errors: as pin_range(), and EINVAL for what has no struct page.
Result<void> pin_external(const DmaRange &dma, ExternalPages &pages);

// Undoes it. The words are used up.
void unpin_external(const DmaRange &dma, const ExternalPages &pages);

} // namespace vfio
