// SPDX-License-Identifier: GPL-2.0
//
// Devices behind an emulated IOMMU: they reach memory through the CPU, and
// pin the pages that they use one by one.
#include "pin_batch.hpp"
#include "pinner.hpp"
#include "shim/pin.h"
#include "type1.hpp"

namespace vfio {

namespace {

// Drivers may name a page by any address in it.
Iova page_of(Iova iova)
{
	return {iova.value & kPageMask};
}

u64 count_counted(const u64 *pages, u64 npages)
{
	u64 counted = 0;

	for (u64 i = 0; i < npages; i++)
		counted += DmaRange::is_counted(pages[i]);
	return counted;
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

// Pins up to npages from iova on that are in one mapping; done says how many it
// got to, which stay pinned if there is an error.
Result<void> Type1::pin_part(Iova iova, u64 npages, u32 prot, u64 *pages, u64 &done)
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
		const u64 again = TRY(dma.pin_external_again(at, npages - done, pages + done));

		if (again) {
			done += again;
			continue;
		}

		const u64 absent = dma.external_absent(at, npages - done);
		guard.unlock();
		Result<void> made = pin_external(dma, at, absent, pages + done);
		// With a hardware domain the pages are charged already.
		const u64 charge =
			made.ok() && !dma.iommu_mapped ? count_counted(pages + done, absent) : 0;
		const Result<void> charged = charge ? dma.owner().charge(charge) : Result<void>();
		guard.lock();

		TRY(made);
		// Somebody else may have pinned some of them meanwhile.
		if (charged.ok() && dma.external_absent(at, absent) == absent)
			made = dma.add_external(at, absent, pages + done);
		else
			made = charged.ok() ? Error(EAGAIN) : charged.error();
		if (made.ok()) {
			dma.note_charge(charge);
			done += absent;
			continue;
		}

		guard.unlock();
		for (u64 i = 0; i < absent; i++)
			dma.release_external(pages[done + i], 1);
		if (charge && charged.ok())
			dma.owner().uncharge(charge);
		guard.lock();
		if (made.error() != Error(EAGAIN))
			return made;
	}
	return {};
}

// Unpins up to npages from iova on that are in one mapping; gives how many it
// went through, none if no mapping is there.
u64 Type1::unpin_part(Iova iova, u64 npages)
{
	PinnedRuns gone;
	RefPtr<Owner> owner;
	u64 counted = 0;
	Guard guard(lock_);
	DmaRange *dma = dmas_.find(iova);

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
	// A mapping that is busy has none of these pages, and is not ours.
	if (counted) {
		dma->note_external_gone(counted);
		if (!dma->iommu_mapped) {
			dma->note_uncharge(counted);
			owner = RefPtr<Owner>::share(dma->owner());
		}
	}
	guard.unlock();

	for (const PinnedRun &run : gone)
		DmaRange::release_external(run.page, run.npages, writable);
	if (owner)
		owner->uncharge(counted);
	return done;
}

Result<void> Type1::pin_pages(iommu_group *group, Iova iova, u32 npages, u32 prot, page **pages)
{
	if (!v2_)
		return Error(EACCES);
	iova = page_of(iova);
	(void)TRY(IovaRange::of_size(iova, npages * kPageSize));

	const ReadGuard groups(groups_lock_);
	{
		const Guard guard(lock_);

		if (WARN_ONCE_IF(vaddr_invalid_count_, "pages pinned while addresses are updated"))
			return Error(EBUSY);
		if (shim_device_list_empty(&devices_))
			return Error(EINVAL);
	}

	PageArray array(npages);
	for (u64 all = 0; all < npages;) {
		u64 done = 0;
		const Result<void> result =
			pin_part(iova + all * kPageSize, min(array.room(), npages - all), prot,
				 array.pages(), done);

		for (u64 i = 0; i < done; i++)
			shim_page_store(pages, static_cast<u32>(all + i),
					array.pages()[i] & kPinPfnMask);
		all += done;
		if (!result.ok()) {
			unpin_held(iova, all);
			for (u32 i = 0; i <= all; i++)
				shim_page_clear(pages, i);
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

void Type1::unpin_held(Iova iova, u64 npages)
{
	while (npages) {
		const u64 done = unpin_part(iova, npages);

		if (WARN_ONCE_IF(!done, "unpin outside any mapping"))
			return;
		iova = iova + done * kPageSize;
		npages -= done;
	}
}

void Type1::unpin_pages(Iova iova, u32 npages)
{
	const ReadGuard groups(groups_lock_);

	unpin_held(page_of(iova), npages);
}

// As much as one mapping has; gives the bytes copied.
Result<size_t> Type1::dma_rw_part(Iova iova, u8 *data, size_t size, bool write)
{
	Guard guard(lock_);
	DmaRange &dma = *TRY(hold(iova));
	const Defer done([this, &dma]() __no_lock_analysis { let_go(dma); });

	if (!dma.readable() || (write && !dma.writable()))
		return Error(EPERM);

	const u64 last_offset = dma.range().last - iova;
	if (size - 1 > last_offset)
		size = last_offset + 1;

	guard.unlock();
	const Result<void> copied = copy_through(dma, iova, data, size, write);
	guard.lock();

	if (copied.ok() && write && dirty_tracking_)
		dma.mark_dirty({iova, iova + (size - 1)}, pgshift());
	if (!copied.ok())
		return copied.error();
	return size;
}

// Copies through the owner's address space. Errors: EPERM if the process has
// gone, EFAULT.
Result<void> Type1::copy_through(const DmaRange &dma, Iova iova, u8 *data, size_t size, bool write)
{
	const LiveMm live(dma.owner().mm());
	mm_struct *current_mm = shim_current_mm();

	if (!live)
		return Error(EPERM);
	if (current_mm && current_mm != live.get())
		return Error(EFAULT);

	if (!current_mm)
		shim_mm_use(live.get());
	const u64 uva = dma.uva_of(iova).value;
	const bool copied =
		write ? shim_copy_to_user(uva, data, size) : shim_copy_from_user(data, uva, size);
	if (!current_mm)
		shim_mm_unuse(live.get());
	if (!copied)
		return Error(EFAULT);
	return {};
}

Result<void> Type1::dma_rw(Iova iova, u8 *data, size_t size, bool write)
{
	const ReadGuard groups(groups_lock_);
	{
		const Guard guard(lock_);

		if (WARN_ONCE_IF(vaddr_invalid_count_, "memory copied while addresses are updated"))
			return Error(EBUSY);
	}
	while (size) {
		const size_t copied = TRY(dma_rw_part(iova, data, size, write));

		iova = iova + copied;
		data += copied;
		size -= copied;
	}
	return {};
}

void Type1::register_device(vfio_device *device)
{
	if (!shim_device_hears_unmap(device))
		return;

	const Guard devices(devices_lock_);
	const Guard guard(lock_);

	shim_device_list_add(&devices_, device);
}

void Type1::unregister_device(vfio_device *device)
{
	if (!shim_device_hears_unmap(device))
		return;

	const Guard devices(devices_lock_);
	const Guard guard(lock_);

	shim_device_list_remove(device);
}

} // namespace vfio
