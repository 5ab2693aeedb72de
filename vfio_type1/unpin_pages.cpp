// SPDX-License-Identifier: GPL-2.0
//
// vfio_unpin_pages(): takes back pins of pin_pages.cpp. It cannot fail.
#include "entry.h"
#include "type1.hpp"

namespace vfio {

// Unpins up to npages from iova on that are in one mapping. Returns how many it
// went through, or 0 if there is no mapping at iova.
inline u64 Type1::unpin_some(Iova iova, u64 npages)
{
	__uninitialized UnpinnedPages gone;
	u64 done = 0;
	bool writable = false;
	{
		const Guard guard(dmas_.lock);
		DmaRange *const dma = dmas_.find(iova);

		if (!dma) [[unlikely]]
			return 0;

		const u64 first = dma->page_index(iova);
		const u64 counted = dma->external.counted();

		npages = min(npages, dma->npages_from(iova));
		if (dirty_tracking_) [[unlikely]]
			dma->mark_pinned_dirty(first, npages, pgshift());
		done = dma->external.unpin(first, npages, gone);
		counts_.unpinned += done;

		// A mapping that is busy has none of these pages, and what it is
		// charged for is not read here. The owner is uncharged with the lock
		// held: a caller that pins the same pages next is charged as much.
		const u64 went = counted - dma->external.counted();
		if (went && !dma->iommu_mapped)
			dma->owner().uncharge(dma->note_uncharge(went));
		writable = dma->writable();
	}
	ExternalPins::release(gone, writable);
	return done;
}

void Type1::unpin_pages(Iova iova, u64 npages)
{
	iova = page_at(iova);
	while (npages) {
		const u64 done = unpin_some(iova, npages);

		if (WARN_ONCE_IF(!done, "unpin outside any mapping"))
			return;
		iova = iova + done * kPageSize;
		npages -= done;
	}
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY void type1_unpin_pages(type1 *handle, u64 iova, u32 npages)
{
	Type1::of(handle).unpin_pages({iova}, npages);
}
