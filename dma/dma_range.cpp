// SPDX-License-Identifier: GPL-2.0
#include "dma_range.hpp"

#include "dma/shim/pin.h"

namespace vfio {

void DmaRange::release_external(u64 page, u64 npages, bool dirty)
{
	if (kind_of(page) != PinKind::kBorrowed)
		shim_unpin(page & kPinPfnMask, npages, dirty);
}

void DmaRange::release_external_page(u64 page, bool dirty)
{
	if (kind_of(page) != PinKind::kBorrowed)
		shim_unpin_page(page & kPinPfnMask, dirty);
}

static bool all_counted(const u64 *pages, u64 npages)
{
	u64 any = 0;

#pragma GCC unroll 4
	for (u64 i = 0; i < npages; i++)
		any |= pages[i];
	return any >> kPinKindShift == 0;
}

void DmaRange::release_external_pages(u64 *pages, u64 npages, bool dirty)
{
	if (all_counted(pages, npages)) [[likely]] {
		shim_unpin_pages(pages, npages, dirty);
		return;
	}
	for (u64 i = 0; i < npages; i++)
		release_external_page(pages[i], dirty);
}

u64 DmaRange::counted_in(const PinnedPages &gone)
{
	u64 counted = gone.run_npages() && is_counted(gone.run_page()) ? gone.run_npages() : 0;

	if (all_counted(gone.pages(), gone.count())) [[likely]]
		return counted + gone.count();
	for (u32 i = 0; i < gone.count(); i++)
		counted += is_counted(gone.pages()[i]);
	return counted;
}

void DmaRange::let_all_go()
{
	if (WARN_ONCE_IF(has_external(), "mapping freed while pinned by a device")) {
		external_->for_each(0, PinIndex::kLastOffset, [this](const PinnedRun &run) {
			release_external(run.page, run.npages, writable());
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

void DmaRange::charge_external_alone()
{
	if (external_counted_ <= charged_)
		uncharge_to(external_counted_);
	else if (owner_->charge_over_limit(external_counted_ - charged_))
		charged_ = external_counted_;
}

Result<void> DmaRange::add_external(const ExternalPages &pages)
{
	const u64 first = page_index(pages.first);

	if (!external_)
		external_ = TRY(make<PinIndex>());

	const Result<void> inserted =
		pages.run ? external_->insert_run(first, pages.npages, pages.words[0]) :
			    external_->insert(first, pages.npages, pages.words);
	if (inserted.ok()) [[likely]]
		external_counted_ += pages.counted;
	else if (external_->empty())
		external_.reset();
	return inserted;
}

[[gnu::noinline]] bool DmaRange::add_first_page(Iova iova, u64 page)
{
	return add_external({iova, 1, nullptr, &page, true, is_counted(page)}).ok();
}

[[gnu::noinline]] u64 DmaRange::unpin_far_external_page(Iova iova)
{
	const u64 page = external_->unpin_one(page_index(iova));

	if (external_->empty())
		external_.reset();
	return page;
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
		mark_all_dirty();
}

// Cuts part off all_dirty_part_. A part in its middle cannot be cut off and is
// reported again: too much, not too little.
void DmaRange::clear_all_dirty(IovaRange part)
{
	IovaRange &dirty = all_dirty_part_;

	if (part.first <= dirty.first && part.last >= dirty.last)
		all_dirty_ = false;
	else if (part.first <= dirty.first && part.last >= dirty.first)
		dirty.first = part.last + 1;
	else if (part.last >= dirty.last && part.first <= dirty.last)
		dirty.last = part.first - 1;
}

void DmaRange::collect_dirty(IovaRange part, unsigned int pgshift, u64 *words, u64 shift) const
{
	const u64 first = (part.first - range_.first) >> pgshift;
	const u64 nbits = ((part.last - part.first) >> pgshift) + 1;

	if (all_dirty_ && part.overlaps(all_dirty_part_)) {
		const u64 at = (max(part.first, all_dirty_part_.first) - part.first) >> pgshift;
		const u64 end = (min(part.last, all_dirty_part_.last) - part.first) >> pgshift;

		DirtyBitmap::set_bits(words, shift + at, end - at + 1);
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
