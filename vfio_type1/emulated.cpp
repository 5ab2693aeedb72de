// SPDX-License-Identifier: GPL-2.0
//
// Devices behind an emulated IOMMU: they reach memory through the CPU, and
// pin the pages that they use one by one.
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

IovaRange page_at(Iova iova)
{
	return {iova, iova + (kPageSize - 1)};
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
	if (--dma.held == 0 && waiting_)
		settled_.wake_all();
}

// Takes a reference to the pin of a page, which is made if there is none;
// gives its pfn.
Result<u64> Type1::pin_page(Iova iova, u32 prot)
{
	Guard guard(lock_);
	DmaRange &dma = *TRY(hold(iova));
	const Defer done([this, &dma]() __no_lock_analysis { let_go(dma); });

	if (dma.leaving)
		return Error(EINVAL);
	if ((dma.prot() & prot) != prot)
		return Error(EPERM);

	ExternalPin *pin = dma.find_external(iova);
	if (!pin) {
		guard.unlock();
		Result<UniquePtr<ExternalPin>> made = pin_external(dma, iova);
		// With a hardware domain the page is charged already.
		const bool charge = made.ok() && made.value()->counted() && !dma.iommu_mapped;
		const Result<void> charged = charge ? dma.owner().charge(1) : Result<void>();
		guard.lock();

		if (!made.ok())
			return made.error();
		if (!charged.ok())
			return charged.error();

		pin = dma.find_external(iova);
		if (!pin) {
			pin = made.value().release();
			dma.add_external(*pin);
			dma.note_charge(charge);
			return pin->pfn.value;
		}
		// Somebody else pinned it meanwhile.
		dma.owner().uncharge(charge);
	}

	if (pin->refs == ~u32{0})
		return Error(EOVERFLOW);
	pin->refs++;
	return pin->pfn.value;
}

// False if no mapping is there.
bool Type1::unpin_page(Iova iova)
{
	UniquePtr<ExternalPin> last;
	RefPtr<Owner> owner;
	Guard guard(lock_);
	DmaRange *dma = dmas_.find(iova);

	if (!dma)
		return false;

	ExternalPin *pin = dma->find_external(iova);
	if (!pin || --pin->refs)
		return true;

	dma->remove_external(*pin);
	last.reset(pin);
	if (dirty_tracking_)
		dma->mark_dirty(page_at(iova), pgshift());
	if (pin->counted() && !dma->iommu_mapped) {
		dma->note_uncharge(1);
		owner = RefPtr<Owner>::share(dma->owner());
	}
	guard.unlock();

	if (owner)
		owner->uncharge(1);
	return true;
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

	for (u32 i = 0; i < npages; i++) {
		Result<u64> pfn = pin_page(iova + i * kPageSize, prot);

		if (!pfn.ok()) {
			shim_page_clear(pages, i);
			while (i-- > 0) {
				unpin_page(iova + i * kPageSize);
				shim_page_clear(pages, i);
			}
			return pfn.error();
		}
		shim_page_store(pages, i, pfn.value());
	}

	AttachedGroup *attached = group_entry(group);
	const Guard guard(lock_);
	if (attached && !attached->pinned_dirty_scope) {
		attached->pinned_dirty_scope = true;
		non_pinned_groups_--;
	}
	return {};
}

void Type1::unpin_pages(Iova iova, u32 npages)
{
	const ReadGuard groups(groups_lock_);

	iova = page_of(iova);
	for (u32 i = 0; i < npages; i++)
		if (WARN_ONCE_IF(!unpin_page(iova + i * kPageSize), "unpin outside any mapping"))
			return;
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
