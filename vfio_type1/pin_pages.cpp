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

// Pages that a device of group asks for and that are not pinned yet.
struct Type1::PinRequest {
	iommu_group *group;
	Iova iova;
	u64 npages;
	u32 prot;
	u64 *handles;
};

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

// Pins the first npages pages of a request, which devices have not pinned and
// which are in one mapping. Returns how many were pinned: all, or none if another
// caller has pinned some meanwhile and this one must look again.
//
// The owner is charged with the lock held again: hardware domains may have come or
// gone meanwhile, and pages that another caller has pinned are charged already.
[[gnu::noinline]] Result<u64> Type1::pin_new(const PinRequest &request, DmaRange &dma, u64 npages)
{
	ExternalPages pages{request.iova, npages, request.handles};
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

		const Unguard unlocked(dmas_.lock);

		ExternalPins::release(pages, dma.writable());
		if (result.error() == Error(EEXIST))
			return u64{0};
	}
	if (result.error() == Error(ENOMEM))
		dma.owner().log_enomem(request.group, "pin", npages, over_limit);
	return result.error();
}

// Pins pages of one mapping from the request's first on: those that are pinned
// already, or if the first is not, those that are not. Returns how many; none if
// the caller has to try again.
Result<u64> Type1::pin_some(const PinRequest &request)
{
	DmaRange &dma = *TRY(dmas_.find_settled(request.iova));

	if (dma.leaving)
		return Error(EINVAL);
	if ((dma.prot() & request.prot) != request.prot)
		return Error(EPERM);

	const u64 first = dma.page_index(request.iova);
	const u64 npages = min(request.npages, dma.npages_from(request.iova));
	const u64 again = TRY(dma.external.pin_again(first, npages, request.handles));

	if (again) {
		shim_pages_of(request.handles, again);
		return again;
	}
	return pin_new(request, dma, 1 + dma.external.absent_from(first + 1, npages - 1));
}

// Pins the pages of a request, which is left with those that were not pinned if
// there is an error.
Result<void> Type1::pin_all(PinRequest &request)
{
	if (WARN_ONCE_IF(dmas_.vaddr_invalid(), "pages pinned while addresses are updated"))
		return Error(EBUSY);
	if (!listeners_)
		return Error(EINVAL);
	while (request.npages) {
		const u64 done = TRY(pin_some(request));

		request.iova = request.iova + done * kPageSize;
		request.handles += done;
		request.npages -= done;
	}
	return {};
}

Result<void> Type1::pin_pages(iommu_group *group, Iova iova, u64 npages, u32 prot, u64 *handles)
{
	PinRequest request{group, page_at(iova), npages, prot, handles};
	Result<void> pinned;
	bool note = false;

	if (!v2_)
		return Error(EACCES);
	(void)TRY(IovaRange::of_size(request.iova, npages * kPageSize));
	{
		const Guard guard(dmas_.lock);

		pinned = pin_all(request);
		note = non_pinned_groups_;
	}
	if (!pinned.ok())
		unpin_pages(iova, npages - request.npages);
	else if (note)
		note_pinned(group);
	return pinned;
}

// From now on all that the group's devices write is memory that they have pinned.
void Type1::note_pinned(iommu_group *group)
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
	// Handles are struct page pointers (shim/pin.h).
	const Result<void> pinned = Type1::of(handle).pin_pages(group, {iova}, npages, prot,
								reinterpret_cast<u64 *>(pages));

	if (pinned.ok())
		return static_cast<int>(npages);
	__builtin_memset(pages, 0, npages * sizeof(*pages));
	return pinned.negative();
}
