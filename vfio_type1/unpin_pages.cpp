// SPDX-License-Identifier: GPL-2.0
//
// vfio_unpin_pages(): what was pinned by pin_pages.cpp. Nothing here fails.
// While dirty pages are tracked, what goes is marked, which wants groups_lock_.
#include "entry.h"
#include "type1.hpp"

namespace vfio {

// What owners are no longer charged for, paid back together.
class Type1::Refund : Immovable {
public:
	~Refund()
	{
		pay();
	}

	// External pages that counted went from a mapping, under the lock.
	void gone(DmaRange &dma, u64 counted)
	{
		if (!counted)
			return;
		dma.note_external_gone(counted);
		if (!dma.iommu_mapped)
			add(dma, dma.note_uncharge(counted));
	}

private:
	void add(const DmaRange &dma, u64 npages)
	{
		if (npages_ && owner_.get() != &dma.owner())
			pay();
		if (!npages_)
			owner_ = RefPtr<Owner>::share(dma.owner());
		npages_ += npages;
	}

	void pay()
	{
		if (npages_)
			owner_->uncharge(vfio::exchange(npages_, u64{0}));
	}

	RefPtr<Owner> owner_;
	u64 npages_ = 0;
};

// Unpins up to npages from iova on that are in one mapping; returns how many it
// went through, none if no mapping is there or what goes must be marked dirty.
u64 Type1::unpin_part(Iova iova, u64 npages, Refund &refund)
{
	constexpr u32 kRoom = 64;
	u64 room[kRoom];
	PinnedPages gone(room, kRoom);
	u64 done = 0;
	bool writable = false;
	{
		const Guard guard(dmas_.lock);
		DmaRange *dma = dmas_.find_and_note(iova);

		if (!dma || dirty_tracking_) [[unlikely]]
			return 0;
		npages = min(npages, ((dma->range().last - iova) >> kPageShift) + 1);
		writable = dma->writable();
		done = dma->unpin_external(iova, npages, gone);
		// A mapping that is busy has none of these pages, and is not ours.
		refund.gone(*dma, DmaRange::counted_in(gone));
	}
	if (gone.run_npages())
		DmaRange::release_external(gone.run_page(), gone.run_npages(), writable);
	if (gone.count())
		DmaRange::release_external_pages(room, gone.count(), writable);
	return done;
}

// The same whether dirty pages are tracked or not.
u64 Type1::unpin_part_dirty(Iova iova, u64 npages, Refund &refund)
{
	PinnedRuns gone;
	u64 counted = 0;
	Guard guard(dmas_.lock);
	DmaRange *dma = dmas_.find_and_note(iova);

	if (!dma)
		return 0;
	npages = min(npages, ((dma->range().last - iova) >> kPageShift) + 1);

	const u64 done = dma->unpin_external(iova, npages, gone);
	const bool writable = dma->writable();

	for (const PinnedRun &run : gone) {
		const Iova first = dma->iova_of(run.first);

		if (dirty_tracking_)
			dma->mark_dirty({first, first + (run.npages * kPageSize - 1)}, pgshift());
		if (DmaRange::is_counted(run.page))
			counted += run.npages;
	}
	refund.gone(*dma, counted);
	guard.unlock();

	for (const PinnedRun &run : gone)
		DmaRange::release_external(run.page, run.npages, writable);
	return done;
}

void Type1::unpin_held(Iova iova, u64 npages)
{
	Refund refund;

	while (npages) {
		const u64 done = unpin_part_dirty(iova, npages, refund);

		if (WARN_ONCE_IF(!done, "unpin outside any mapping"))
			return;
		iova = iova + done * kPageSize;
		npages -= done;
	}
}

// One page, in the short way; false, and nothing done, if that cannot be.
[[gnu::always_inline]] inline bool Type1::unpin_page(Iova iova)
{
	RefPtr<Owner> owner;
	u64 page = 0;
	bool writable = false;
	{
		const Guard guard(dmas_.lock);
		DmaRange *const dma = dmas_.find_and_note(iova);

		if (!dma || dirty_tracking_) [[unlikely]]
			return false;
		page = dma->unpin_external_page(iova);
		if (page == kPinNone)
			return true;
		writable = dma->writable();
		if (DmaRange::is_counted(page)) [[likely]] {
			dma->note_external_gone(1);
			if (!dma->iommu_mapped && dma->note_uncharge(1)) [[likely]]
				owner = RefPtr<Owner>::share(dma->owner());
		}
	}
	DmaRange::release_external_page(page, writable);
	if (owner)
		owner->uncharge(1);
	return true;
}

inline void Type1::unpin_pages(Iova iova, u32 npages)
{
	iova = page_at(iova);
	if (npages > 1 || !unpin_page(iova))
		unpin_many(iova, npages);
}

// Apart, for the small frame of unpinning one page.
[[gnu::noinline]] void Type1::unpin_many(Iova iova, u64 npages)
{
	{
		Refund refund;

		while (npages) {
			const u64 done = unpin_part(iova, npages, refund);

			if (!done) [[unlikely]]
				break;
			iova = iova + done * kPageSize;
			npages -= done;
		}
	}
	if (npages) [[unlikely]] {
		const ReadGuard groups(groups_lock_);

		unpin_held(iova, npages);
	}
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY void type1_unpin_pages(type1 *handle, u64 iova, u32 npages)
{
	Type1::of(handle).unpin_pages({iova}, npages);
}
