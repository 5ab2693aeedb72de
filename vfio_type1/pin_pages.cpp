// SPDX-License-Identifier: GPL-2.0
//
// vfio_pin_pages(): pages that devices behind an emulated IOMMU pin, one by one
// or up to 512 a call. vfio_unpin_pages() is in unpin_pages.cpp.
#include "dma/pin_batch.hpp"
#include "dma/pinner.hpp"
#include "dma/shim/pin.h"
#include "entry.h"
#include "type1.hpp"

namespace vfio {

namespace {

// An array of struct page pointers as one of handles (shim/pin.h).
u64 *handles_of(page **pages)
{
	return reinterpret_cast<u64 *>(pages);
}

// Pins a page of another process. Returns 1, an error, or 0 if the process has
// gone.
[[gnu::noinline]] long pin_one_of(mm_struct *mm, u64 uva, bool dirty, u64 *handle)
{
	const LiveMm live(mm);

	return live ? shim_pin_remote(mm, uva, 1, dirty, handle) : 0;
}

} // namespace

// Pins pages of a mapping that is held and charges its owner, unless a hardware
// domain has them, for which they are charged already. Returns how many
// pages it has charged. Errors: those of pinning and charging, with nothing done.
Result<u64> Type1::pin_and_charge(iommu_group *group, const DmaRange &dma, bool mapped,
				  ExternalPages &pages)
{
	Result<void> result = pin_external(dma, pages);
	const bool pinned = result.ok();
	const u64 charge = mapped ? 0 : pages.counted;

	if (pinned)
		result = dma.owner().charge(charge);
	if (result.ok())
		return charge;
	if (pinned)
		unpin_external(dma, pages);
	if (result.error() == Error(ENOMEM))
		dma.owner().log_enomem(group, "pin", pages.npages, pinned);
	return result.error();
}

void Type1::undo_pin(const DmaRange &dma, u64 charge, const ExternalPages &pages)
{
	unpin_external(dma, pages);
	dma.owner().uncharge(charge);
}

// Pins up to npages from iova on that are in one mapping; done says how many it
// got to, which stay pinned if there is an error. words has room for as many.
Result<void> Type1::pin_part(iommu_group *group, Iova iova, u64 npages, u32 prot, u64 *handles,
			     u64 *words, u64 &done)
{
	Guard guard(dmas_.lock);
	DmaRange &dma = *TRY(dmas_.hold(iova));
	const Defer release([this, &dma]() __no_lock_analysis { dmas_.let_go(dma); });

	if (dma.leaving())
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
		Result<u64> charge = pin_and_charge(group, dma, dma.iommu_mapped, pages);
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
		if (added.error() == Error(EEXIST))
			continue;
		if (added.error() == Error(ENOMEM))
			dma.owner().log_enomem(group, "pin", absent, false);
		return added;
	}
	return {};
}

// One page, which is what devices mostly pin, and mostly again: then it is near
// the last one and takes no more than this. groups_lock_ is not needed: what it
// guards is of no concern where all groups are known to pin, but for
// iommu_mapped, which does not change under dmas_.lock.
inline int Type1::pin_page(iommu_group *group, Iova iova, u32 prot, u64 *handle)
{
	Guard guard(dmas_.lock);
	DmaRange *const dma = dmas_.recent();
	u64 page = kPinStill;

	if (short_pins_ && dma && dma->takes_pins(prot)) [[likely]] {
		page = dma->try_pin_near_external_again(iova);
		if (page < kPinStill) [[likely]] {
			*handle = shim_page_of(page);
			return 1;
		}
		if (page == kPinStill && dma->range().contains(iova)) {
			page = dma->try_pin_external_again(iova);
			if (page < kPinStill) {
				*handle = shim_page_of(page);
				return 1;
			}
		}
	}
	guard.hand_over();
	return pin_page_far(group, iova, prot, handle, page == kPinNone);
}

// Goes on where pin_page() stopped, with dmas_.lock held. absent: all that it asks
// for is so, but the page is not pinned, or behind the mapping's end, where the
// slot goes on.
[[gnu::noinline]] int Type1::pin_page_far(iommu_group *group, Iova iova, u32 prot, u64 *handle,
					  bool absent)
{
	const Result<void> pinned = pin_again_or_new(page_at(iova), prot, handle, absent);

	if (pinned.ok()) [[likely]]
		return 1;
	return pin_any(group, iova, 1, prot, handle);
}

// Errors: EAGAIN if anything is out of the ordinary. Nothing is done then.
inline Result<void> Type1::pin_again_or_new(Iova iova, u32 prot, u64 *handle, bool absent)
{
	DmaRange *dma;
	bool mapped;
	{
		const Guard guard(dmas_.lock, Guard::kTakeOver);

		dma = dmas_.recent();
		if (!absent || !dma->range().contains(iova)) [[unlikely]] {
			dma = short_pins_ ? dmas_.find_and_note(iova) : nullptr;
			if (!dma || !dma->takes_pins(prot))
				return Error(EAGAIN);

			const u64 page = dma->try_pin_external_again(iova);
			if (page < kPinStill) {
				*handle = shim_page_of(page);
				return {};
			}
			if (page == kPinStill)
				return Error(EAGAIN);
		}
		if (dma->busy.load()) [[unlikely]]
			return Error(EAGAIN);
		dma->held++;
		mapped = dma->iommu_mapped;
	}
	return pin_held(*dma, mapped, iova, handle);
}

// A page that was not pinned when its mapping was held, and whether a hardware
// domain had that. Errors: as above.
inline Result<void> Type1::pin_held(DmaRange &dma, bool mapped, Iova iova, u64 *handle)
{
	const Owner &owner = dma.owner();
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

	// pin_any() then tries again, and logs why if it fails, too.
	if (!owner.charge(!mapped).ok()) [[unlikely]]
		return put_held(dma, page, Error(EAGAIN));
	{
		const Guard guard(dmas_.lock);

		// A group with a hardware domain may have come or gone.
		if (dma.iommu_mapped == mapped && dma.add_external_page(iova, page)) [[likely]] {
			dma.note_charge(!mapped);
			dmas_.let_go(dma);
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

	const Guard guard(dmas_.lock);
	dmas_.let_go(dma);
	return error;
}

inline int Type1::pin_pages(iommu_group *group, Iova iova, u32 npages, u32 prot, u64 *handles)
{
	return npages == 1 ? pin_page(group, iova, prot, handles) :
			     pin_any(group, iova, npages, prot, handles);
}

// Apart, for the small frame of pinning one page.
[[gnu::noinline]] int Type1::pin_any(iommu_group *group, Iova iova, u32 npages, u32 prot,
				     u64 *handles)
{
	const Result<void> pinned = pin_many(group, page_at(iova), npages, prot, handles);

	if (pinned.ok())
		return static_cast<int>(npages);
	__builtin_memset(handles, 0, npages * sizeof(*handles));
	return pinned.negative();
}

Result<void> Type1::pin_many(iommu_group *group, Iova iova, u32 npages, u32 prot, u64 *handles)
{
	if (!v2_)
		return Error(EACCES);
	(void)TRY(IovaRange::of_size(iova, npages * kPageSize));

	const ReadGuard groups(groups_lock_);
	{
		const Guard guard(dmas_.lock);

		if (WARN_ONCE_IF(dmas_.vaddr_invalid(), "pages pinned while addresses are updated"))
			return Error(EBUSY);
		if (!listeners_)
			return Error(EINVAL);
	}

	PageArray words(npages);
	for (u64 all = 0; all < npages;) {
		u64 done = 0;
		const Result<void> result =
			pin_part(group, iova + all * kPageSize, min(words.room(), npages - all),
				 prot, handles + all, words.pages(), done);

		all += done;
		if (!result.ok()) {
			unpin_held(iova, all);
			return result;
		}
	}

	AttachedGroup *attached = find_attached(group);
	const Guard guard(dmas_.lock);
	if (attached && !attached->pinned_dirty_scope) {
		attached->pinned_dirty_scope = true;
		count_non_pinned(-1);
	}
	return {};
}

} // namespace vfio

using namespace vfio;

// The boundary is here, because of what is called for each page less is more.
CORE_ENTRY int type1_pin_pages(type1 *handle, iommu_group *group, u64 iova, u32 npages, u32 prot,
			       page **pages)
{
	return Type1::of(handle).pin_pages(group, {iova}, npages, prot, handles_of(pages));
}
