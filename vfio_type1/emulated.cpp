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

} // namespace

// The pin of one page, with a reference for the caller.
Result<ExternalPin *> Type1::pin_page(Iova iova, u32 prot)
{
	DmaRange *dma = dmas_.find(iova);

	if (!dma)
		return Error(EINVAL);
	if ((dma->prot() & prot) != prot)
		return Error(EPERM);

	if (ExternalPin *pin = dma->find_external(iova)) {
		if (pin->refs == ~u32{0})
			return Error(EOVERFLOW);
		pin->refs++;
		return pin;
	}

	// With a hardware domain the page is charged already.
	ExternalPin *pin = TRY(pin_external(*dma, iova, !hardware()));
	if (dirty_tracking_)
		dma->dirty.set((iova - dma->range().first) >> pgshift(), 1);
	return pin;
}

// False if no mapping is there.
bool Type1::unpin_page(Iova iova)
{
	DmaRange *dma = dmas_.find(iova);

	if (!dma)
		return false;
	if (ExternalPin *pin = dma->find_external(iova))
		if (dma->put_external(*pin) && !hardware())
			dma->uncharge(1);
	return true;
}

Result<void> Type1::pin_pages(iommu_group *group, Iova iova, u32 npages, u32 prot, page **pages)
{
	if (!v2_)
		return Error(EACCES);
	iova = page_of(iova);
	(void)TRY(IovaRange::of_size(iova, npages * kPageSize));

	const Guard guard(lock_);

	if (WARN_ONCE_IF(vaddr_invalid_count_, "pages pinned while addresses are updated"))
		return Error(EBUSY);
	if (shim_device_list_empty(&devices_))
		return Error(EINVAL);

	for (u32 i = 0; i < npages; i++) {
		Result<ExternalPin *> pinned = pin_page(iova + i * kPageSize, prot);

		if (!pinned.ok()) {
			shim_page_clear(pages, i);
			while (i-- > 0) {
				unpin_page(iova + i * kPageSize);
				shim_page_clear(pages, i);
			}
			return pinned.error();
		}
		shim_page_store(pages, i, pinned.value()->pfn.value);
	}

	AttachedGroup *attached = group_entry(group);
	if (attached && !attached->pinned_dirty_scope) {
		attached->pinned_dirty_scope = true;
		non_pinned_groups_--;
	}
	return {};
}

void Type1::unpin_pages(Iova iova, u32 npages)
{
	const Guard guard(lock_);

	iova = page_of(iova);
	for (u32 i = 0; i < npages; i++)
		if (WARN_ONCE_IF(!unpin_page(iova + i * kPageSize), "unpin outside any mapping"))
			return;
}

// As much as one mapping has; gives the bytes copied.
Result<size_t> Type1::dma_rw_part(Iova iova, u8 *data, size_t size, bool write)
{
	DmaRange *dma = dmas_.find(iova);

	if (!dma)
		return Error(EINVAL);
	if (!dma->readable() || (write && !dma->writable()))
		return Error(EPERM);

	const LiveMm live(dma->owner().mm());
	mm_struct *current_mm = shim_current_mm();
	if (!live)
		return Error(EPERM);
	if (current_mm && current_mm != live.get())
		return Error(EFAULT);

	const u64 last_offset = dma->range().last - iova;
	if (size - 1 > last_offset)
		size = last_offset + 1;

	if (!current_mm)
		shim_mm_use(live.get());
	const u64 uva = dma->uva_of(iova).value;
	const bool copied = write ? shim_copy_to_user(uva, data, size) :
				    shim_copy_from_user(data, uva, size);
	if (!current_mm)
		shim_mm_unuse(live.get());
	if (!copied)
		return Error(EFAULT);

	if (write && dirty_tracking_) {
		const u64 offset = iova - dma->range().first;
		const u64 first = offset >> pgshift();

		dma->dirty.set(first, ((offset + size - 1) >> pgshift()) - first + 1);
	}
	return size;
}

Result<void> Type1::dma_rw(Iova iova, u8 *data, size_t size, bool write)
{
	const Guard guard(lock_);

	if (WARN_ONCE_IF(vaddr_invalid_count_, "memory copied while addresses are updated"))
		return Error(EBUSY);
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
