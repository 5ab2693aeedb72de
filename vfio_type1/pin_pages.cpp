// SPDX-License-Identifier: GPL-2.0
//
// vfio_pin_pages(): pages that devices behind an emulated IOMMU pin, one by one
// or up to 512 a call. vfio_unpin_pages() is in unpin_pages.cpp.
#include "core.h"
#include "pin_batch.hpp"
#include "pinner.hpp"
#include "shim/pin.h"
#include "type1.hpp"

namespace vfio {

namespace {

// An array of struct page pointers as one of handles (shim/pin.h).
u64 *handles_of(page **pages)
{
	return reinterpret_cast<u64 *>(pages);
}

// A page of another process. Gives 1, or none if it has gone as well.
[[gnu::noinline]] long pin_one_of(mm_struct *mm, u64 uva, bool dirty, u64 *handle)
{
	const LiveMm live(mm);

	return live ? shim_pin_remote(mm, uva, 1, dirty, handle) : 0;
}

} // namespace

// The mapping at iova, which stays until it is no longer held.
// Errors: EINVAL if there is none, EINTR.
Result<DmaRange *> Type1::hold(Iova iova)
{
	TRY(settle({iova, iova}, false));

	DmaRange *dma = dmas_.find(iova);
	if (!dma)
		return Error(EINVAL);
	dma->held++;
	return dma;
}

void Type1::let_go(DmaRange &dma)
{
	if (--dma.held == 0 && waiting_.load())
		settled_.wake_all();
}

// Pins pages of a mapping that is held and charges its owner, unless a hardware
// domain has them, for which they are charged already. Gives the charge.
// Errors: as pinning and charging give; nothing is done then.
Result<u64> Type1::pin_and_charge(const DmaRange &dma, bool mapped, ExternalPages &pages)
{
	TRY(pin_external(dma, pages));

	const u64 charge = mapped ? 0 : pages.counted;
	const Result<void> charged = dma.owner().charge(charge);

	if (!charged.ok()) {
		unpin_external(dma, pages);
		return charged.error();
	}
	return charge;
}

void Type1::undo_pin(const DmaRange &dma, u64 charge, const ExternalPages &pages)
{
	unpin_external(dma, pages);
	dma.owner().uncharge(charge);
}

// Pins up to npages from iova on that are in one mapping; done says how many it
// got to, which stay pinned if there is an error. words has room for as many.
Result<void> Type1::pin_part(Iova iova, u64 npages, u32 prot, u64 *handles, u64 *words, u64 &done)
{
	Guard guard(lock_);
	DmaRange &dma = *TRY(hold(iova));
	const Defer release([this, &dma]() __no_lock_analysis { let_go(dma); });

	if (dma.leaving)
		return Error(EINVAL);
	if ((dma.prot() & prot) != prot)
		return Error(EPERM);

	npages = min(npages, ((dma.range().last - iova) >> kPageShift) + 1);
	while (done < npages) {
		const Iova at = iova + done * kPageSize;
		const u64 again = TRY(dma.pin_external_again(at, npages - done, words));

		if (again) {
			shim_pages_of(words, again, handles + done);
			done += again;
			continue;
		}

		const u64 absent = dma.external_absent(at, npages - done);
		ExternalPages pages = {at, absent, handles + done, words};
		guard.unlock();
		Result<u64> charge = pin_and_charge(dma, dma.iommu_mapped, pages);
		guard.lock();

		if (!charge.ok())
			return charge.error();
		const Result<void> added = dma.add_external(pages);
		if (added.ok()) {
			dma.note_charge(charge.value());
			done += absent;
			continue;
		}

		guard.unlock();
		undo_pin(dma, charge.value(), pages);
		guard.lock();
		// If somebody else has pinned some of them meanwhile, it is to
		// be done again.
		if (added.error() != Error(EEXIST))
			return added;
	}
	return {};
}

// One page, which is what devices mostly pin, and mostly again: only looked up.
// If it is not there the mapping is held, unless anything is out of the
// ordinary. groups_lock_ is not needed here: what it guards is of no concern
// where all groups are known to pin, but for iommu_mapped, which does not
// change under lock_.
inline Type1::PinnedOrHeld Type1::pin_again_or_hold(Iova iova, u32 prot)
{
	const Guard guard(lock_);

	if (non_pinned_groups_ || !listeners_) [[unlikely]]
		return {};

	DmaRange *const dma = dmas_.find(iova);
	if (!dma || dma->leaving || (dma->prot() & prot) != prot) [[unlikely]]
		return {};

	const u64 page = dma->try_pin_external_again(iova);
	if (page != kPinNone)
		return {page, nullptr};
	if (dma->busy.load() || !v2_)
		return {};
	dma->held++;
	return {dma->iommu_mapped ? kPinStill : kPinNone, dma};
}

// A page that was not pinned when the mapping was held. Errors: EAGAIN if it is
// now, or is none of the usual ones; as charging gives. Nothing is done then.
Result<void> Type1::pin_held(PinnedOrHeld found, Iova iova, u64 *handle)
{
	DmaRange &dma = *found.held;
	const Owner &owner = dma.owner();
	const bool mapped = found.page == kPinStill;
	const u64 uva = dma.uva_of(iova).value;
	const bool dirty = dma.writable();
	const bool own = owner.mm() == shim_current_mm();

	if ((own ? shim_pin_own(uva, 1, dirty, handle) :
		   pin_one_of(owner.mm(), uva, dirty, handle)) != 1) [[unlikely]]
		return put_held(dma, kPinNone, Error(EAGAIN));

	const u64 page = shim_page_pfn(*handle);
	if (page & ~SHIM_PIN_PFN_MASK) [[unlikely]] {
		shim_unpin_page(page & SHIM_PIN_PFN_MASK, false);
		return put_held(dma, kPinNone, Error(EAGAIN));
	}

	const Result<void> charged = owner.charge(!mapped);
	if (!charged.ok()) [[unlikely]]
		return put_held(dma, page, charged.error());
	{
		const Guard guard(lock_);

		// A group with a hardware domain may have come or gone.
		if (dma.iommu_mapped == mapped && dma.add_external_page(iova, page)) [[likely]] {
			dma.note_charge(!mapped);
			let_go(dma);
			return {};
		}
	}
	owner.uncharge(!mapped);
	return put_held(dma, page, Error(EAGAIN));
}

// The end of pin_held() when it does not do. page may be none.
Error Type1::put_held(DmaRange &dma, u64 page, Error error)
{
	if (page != kPinNone)
		shim_unpin_page(page, dma.writable());

	const Guard guard(lock_);
	let_go(dma);
	return error;
}

inline Result<void> Type1::pin_pages(iommu_group *group, Iova iova, u32 npages, u32 prot,
				     u64 *handles)
{
	iova = page_at(iova);
	if (npages == 1) {
		const PinnedOrHeld found = pin_again_or_hold(iova, prot);

		if (found.page < kPinStill) [[likely]] {
			*handles = shim_page_of(found.page);
			return {};
		}
		if (found.held) [[likely]] {
			const Result<void> pinned = pin_held(found, iova, handles);

			if (pinned.ok()) [[likely]]
				return {};
			if (pinned.error() != Error(EAGAIN)) {
				*handles = 0;
				return pinned;
			}
		}
	}
	return pin_any(group, iova, npages, prot, handles);
}

// Apart, for the small frame of pinning one page.
[[gnu::noinline]] Result<void> Type1::pin_any(iommu_group *group, Iova iova, u32 npages, u32 prot,
					      u64 *handles)
{
	const Result<void> pinned = pin_many(group, iova, npages, prot, handles);

	if (!pinned.ok())
		__builtin_memset(handles, 0, npages * sizeof(*handles));
	return pinned;
}

Result<void> Type1::pin_many(iommu_group *group, Iova iova, u32 npages, u32 prot, u64 *handles)
{
	if (!v2_)
		return Error(EACCES);
	(void)TRY(IovaRange::of_size(iova, npages * kPageSize));

	const ReadGuard groups(groups_lock_);
	{
		const Guard guard(lock_);

		if (WARN_ONCE_IF(vaddr_invalid_count_, "pages pinned while addresses are updated"))
			return Error(EBUSY);
		if (!listeners_)
			return Error(EINVAL);
	}

	PageArray words(npages);
	for (u64 all = 0; all < npages;) {
		u64 done = 0;
		const Result<void> result =
			pin_part(iova + all * kPageSize, min(words.room(), npages - all), prot,
				 handles + all, words.pages(), done);

		all += done;
		if (!result.ok()) {
			unpin_held(iova, all);
			return result;
		}
	}

	AttachedGroup *attached = group_entry(group);
	const Guard guard(lock_);
	if (attached && !attached->pinned_dirty_scope) {
		attached->pinned_dirty_scope = true;
		non_pinned_groups_--;
	}
	return {};
}

} // namespace vfio

using namespace vfio;

// The boundary is here, because of what is called for each page less is more.
CORE_ENTRY int type1_pin_pages(type1 *handle, iommu_group *group, u64 iova, u32 npages, u32 prot,
			       page **pages)
{
	const Result<void> result = static_cast<Type1 *>(handle)->pin_pages(
		group, {iova}, npages, prot, handles_of(pages));

	return result.ok() ? static_cast<int>(npages) : result.negative();
}
