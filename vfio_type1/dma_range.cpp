// SPDX-License-Identifier: GPL-2.0
#include "dma_range.hpp"

#include "shim/pin.h"

namespace vfio {

void DmaRange::release_external(u64 page, u64 npages, bool dirty)
{
	if (kind_of(page) != PinKind::kBorrowed)
		shim_unpin(page & kPinPfnMask, npages, dirty);
}

void DmaRange::let_all_go()
{
	if (WARN_ONCE_IF(has_external(), "mapping freed while pinned by a device")) {
		external_->for_each(0, PinIndex::kLastOffset, [this](const PinnedRun &run) {
			release_external(run.page, run.npages);
		});
		external_.reset();
	}
	uncharge_to(0);
}

Result<void> DmaRange::change_owner(const RefPtr<Owner> &owner, UserVa uva)
{
	if (owner->mm() != owner_->mm()) {
		TRY(owner->charge(charged_));
		owner_->uncharge(charged_);
		owner_ = owner;
	}
	uva_ = uva;
	return {};
}

Result<void> DmaRange::charge(u64 npages)
{
	TRY(owner_->charge(npages));
	charged_ += npages;
	return {};
}

Result<void> DmaRange::add_external(Iova iova, u64 npages, const u64 *pages)
{
	if (!external_)
		external_ = TRY(make<PinIndex>());

	const Result<void> inserted = external_->insert(page_index(iova), npages, pages);
	if (!inserted.ok()) {
		forget_empty_index();
		return inserted;
	}
	for (u64 i = 0; i < npages; i++)
		external_counted_ += is_counted(pages[i]);
	return {};
}

u64 DmaRange::unpin_external(Iova iova, u64 npages, PinnedRuns &gone)
{
	if (!external_)
		return npages;

	const u64 done = external_->unpin(page_index(iova), npages, gone);
	forget_empty_index();
	return done;
}

void DmaRange::forget_empty_index()
{
	if (external_->empty())
		external_.reset();
}

u64 DmaRange::count_external(IovaRange part) const
{
	u64 counted = 0;

	external_->for_each(page_index(part.first), page_index(part.last),
			    [&](const PinnedRun &run) {
				    if (is_counted(run.page))
					    counted += run.npages;
			    });
	return counted;
}

void DmaRange::mark_dirty(IovaRange part, unsigned int pgshift)
{
	const u64 first = (part.first - range_.first) >> pgshift;
	const u64 last = (part.last - range_.first) >> pgshift;

	if (dirty_.reserve(((range_.last - range_.first) >> pgshift) + 1).ok())
		dirty_.set(first, last - first + 1);
	else
		all_dirty_ = true;
}

void DmaRange::collect_dirty(IovaRange part, unsigned int pgshift, u64 *words, u64 shift) const
{
	const u64 first = (part.first - range_.first) >> pgshift;
	const u64 nbits = ((part.last - part.first) >> pgshift) + 1;

	if (all_dirty_) {
		DirtyBitmap::set_bits(words, shift, nbits);
		return;
	}
	dirty_.collect(first, nbits, words, shift);
	if (!external_)
		return;
	external_->for_each(page_index(part.first), page_index(part.last),
			    [&](const PinnedRun &run) {
				    const u64 at = iova_of(run.first) - part.first;
				    const u64 end = at + run.npages * kPageSize - 1;

				    DirtyBitmap::set_bits(words, shift + (at >> pgshift),
							  (end >> pgshift) - (at >> pgshift) + 1);
			    });
}

void DmaRange::forget_dirty()
{
	all_dirty_ = false;
	dirty_.release();
}

} // namespace vfio
