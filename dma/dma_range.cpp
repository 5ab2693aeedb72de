// SPDX-License-Identifier: GPL-2.0
#include "dma_range.hpp"

namespace vfio {

constinit shim_slab DmaRange::slab{sizeof(DmaRange), nullptr};

DmaRange::~DmaRange()
{
	external.release_all(writable());
	if (charged_)
		owner_->uncharge(charged_);
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
	uncharge_to(external.counted());
	if (charged_ < external.counted() &&
	    owner_->charge_over_limit(external.counted() - charged_))
		charged_ = external.counted();
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

void DmaRange::mark_pinned_dirty(u64 first, u64 npages, unsigned int pgshift)
{
	external.for_each(first, first + npages - 1, [&](const PinnedRun &run) {
		const Iova iova = iova_of(run.first);

		mark_dirty({iova, iova + (run.npages * kPageSize - 1)}, pgshift);
	});
}

// Cuts part off all_dirty_part_. A part in its middle cannot be cut off and will
// be reported a second time, which is harmless.
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
	external.for_each(page_index(part.first), page_index(part.last), [&](const PinnedRun &run) {
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
