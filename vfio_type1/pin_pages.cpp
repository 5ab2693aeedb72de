// SPDX-License-Identifier: GPL-2.0
//
// vfio_pin_pages(): devices behind an emulated IOMMU pin pages of mappings, up to
// 512 a call. unpin_pages.cpp has vfio_unpin_pages().
//
// A call goes through its range in stretches, with the mappings' lock held: pages
// that devices have pinned already are only counted; for other pages the mapping is
// held and the lock released.
#include "dma/pinner.hpp"
#include "entry.h"
#include "type1.hpp"

namespace vfio {

// Records pages that have been pinned, and charges their owner for those that
// count, unless the mapping is charged for hardware domains. Errors: EEXIST if
// another caller has recorded some of them meanwhile; ENOMEM, which over_limit says
// is because of RLIMIT_MEMLOCK; EINTR. Nothing is recorded or charged then.
Result<void> Type1::record(DmaRange &dma, const ExternalPages &pages, bool &over_limit)
{
	const u64 first = dma.page_index(pages.first);
	const u64 charged = dma.charged();
	const Result<void> charge = dma.charge(dma.iommu_mapped ? 0 : pages.counted);

	if (!charge.ok()) {
		// They may be charged already.
		if (dma.external.absent_from(first, pages.npages) < pages.npages)
			return Error(EEXIST);
		over_limit = charge.error() == Error(ENOMEM);
		return charge;
	}

	const Result<void> added = dma.external.add(first, pages);
	if (!added.ok())
		dma.uncharge_to(charged);
	return added;
}

// Pins pages of one mapping from iova on that devices have not pinned: the first and
// those that follow, npages at most, up to one that is pinned. Returns how many were
// pinned; none if another caller has pinned some meanwhile and this one must look again.
//
// The owner is charged with the lock held again: hardware domains may have come or
// gone meanwhile, and pages that another caller has pinned are charged already.
Result<u64> Type1::pin_new(iommu_group *group, DmaRange &dma, Iova iova, u64 npages,
			   PageHandle *handles)
{
	npages = min(npages, dma.npages_from(iova));
	if (npages > 1)
		npages = 1 + dma.external.absent_from(dma.page_index(iova) + 1, npages - 1);

	ExternalPages pages{iova, npages, handles};
	Result<void> result;
	bool over_limit = false;
	const Defer release([this, &dma]() __no_lock_analysis { dmas_.let_go(dma); });

	DmaTree::hold(dma);
	{
		const Unguard unlocked(dmas_.lock);

		result = pin_external(dma, pages);
	}
	if (result.ok()) {
		result = record(dma, pages, over_limit);
		if (result.ok()) {
			pages.to_handles();
			return npages;
		}
		if (result.error() == Error(EEXIST))
			counts_.pin_retries++;

		const Unguard unlocked(dmas_.lock);

		ExternalPins::release(pages, dma.writable());
		if (result.error() == Error(EEXIST))
			return u64{0};
	}
	if (result.error() == Error(ENOMEM))
		dma.owner().log_enomem(group, "pin", npages, over_limit);
	return result.error();
}

// Pins pages of one mapping from iova on, npages at most: those that are pinned
// already, or if the first is not, those that are not. Returns how many; none if the
// caller has to try again.
Result<u64> Type1::pin_some(iommu_group *group, Iova iova, u64 npages, u32 prot,
			    PageHandle *handles)
{
	DmaRange &dma = *TRY(dmas_.find_settled(iova));

	if (dma.leaving)
		return Error(EINVAL);
	if ((dma.prot() & prot) != prot)
		return Error(EPERM);

	// No page behind the end of the mapping is recorded. Pages are in the array first,
	// and their handles then take their place.
	const u64 again = TRY(dma.external.pin_again(dma.page_index(iova), npages,
						     reinterpret_cast<PinPage *>(handles)));
	if (!again)
		return pin_new(group, dma, iova, npages, handles);
	shim_pages_of(&handles->value, again);
	return again;
}

// Errors: EBUSY while addresses are being updated, EINVAL if no device hears of
// unmaps.
Result<void> Type1::may_pin() const
{
	if (WARN_ONCE_IF(dmas_.vaddr_invalid(), "pages pinned while addresses are updated"))
		return Error(EBUSY);
	if (!listeners_)
		return Error(EINVAL);
	return {};
}

Result<void> Type1::pin_pages(iommu_group *group, Iova iova, u64 npages, u32 prot,
			      PageHandle *handles)
{
	const Iova first = page_at(iova);
	Iova at = first;
	u64 left = npages;
	bool note = false;
	DmaRange *held = nullptr;
	Result<void> result;

	if (!v2_)
		return Error(EACCES);
	(void)TRY(IovaRange::of_size(first, npages * kPageSize));
	{
		const Guard guard(dmas_.lock);

		result = may_pin();
		while (result.ok() && left) {
			Result<u64> more = pin_some(group, at, left, prot, handles);

			if (more.ok()) {
				left -= more.value();
				if (left)
					keep_mapped(at, held);
				at = at + more.value() * kPageSize;
				handles += more.value();
			} else {
				result = more.error();
			}
		}
		note = non_pinned_groups_;
		counts_.pin_calls++;
		counts_.pinned += npages - left;
		if (held && result.ok())
			let_go_up_to(first, *held);
	}
	if (!result.ok()) [[unlikely]] {
		unpin_pages(first, npages - left);
		if (held) {
			const Guard guard(dmas_.lock);

			let_go_up_to(first, *held);
		}
	} else if (note) [[unlikely]] {
		note_pinned(group);
	}
	return result;
}

// Keeps the mapping that has the address from being unmapped, before the call goes on: its driver does not
// know yet that it has pinned pages there, and could not unpin them. held is the last one that is kept.
void Type1::keep_mapped(Iova at, DmaRange *&held)
{
	if (held && held->range().contains(at))
		return;
	held = dmas_.find(at);
	DmaTree::hold(*held);
}

// Undoes keep_mapped() for all mappings from an address on, which follow each other up to the last.
void Type1::let_go_up_to(Iova first, DmaRange &last)
{
	const IovaRange range{first, last.range().last};

	for (DmaRange *dma = dmas_.first_in(range); dma; dma = dmas_.next_in(*dma, range))
		dmas_.let_go(*dma);
}

// From now on all that the group's devices write is memory that they have pinned.
[[gnu::cold]] void Type1::note_pinned(iommu_group *group)
{
	const ReadGuard groups(groups_lock_);
	const Guard guard(dmas_.lock);
	AttachedGroup *attached = find_attached(group);

	if (attached && !attached->pinned_dirty_scope) {
		attached->pinned_dirty_scope = true;
		non_pinned_groups_--;
	}
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY int type1_pin_pages(type1 *handle, iommu_group *group, u64 iova, u32 npages, u32 prot,
			       page **pages)
{
	Type1 &type1 = Type1::of(handle);
	const Result<void> pinned =
		type1.pin_pages(group, {iova}, npages, prot, reinterpret_cast<PageHandle *>(pages));

	if (pinned.ok())
		return static_cast<int>(npages);
	type1.note_pin_error(pinned.error());
	__builtin_memset(pages, 0, npages * sizeof(*pages));
	return pinned.negative();
}
