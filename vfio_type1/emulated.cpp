// SPDX-License-Identifier: GPL-2.0
//
// Devices of emulated groups, which reach memory through the CPU: copying for them, and
// the list of those whose drivers have dma_unmap. pin_pages.cpp pins pages for them.
#include "entry.h"
#include "type1.hpp"

namespace vfio {

// Copies as much as is in the mapping at iova; returns the bytes copied.
// Errors: those of dma_rw(), EINTR.
Result<size_t> Type1::dma_rw_part(Iova iova, u8 *data, size_t size, bool write)
{
	const Guard guard(dmas_.lock);
	DmaRange &dma = *TRY(dmas_.find_settled(iova));

	DmaTree::hold(dma);
	const Defer done([this, &dma]() __no_lock_analysis { dmas_.let_go(dma); });

	if (!dma.readable() || (write && !dma.writable()))
		return Error(EPERM);

	const u64 last_offset = dma.range().last - iova;
	if (size - 1 > last_offset)
		size = last_offset + 1;

	Result<void> copied;
	{
		const Unguard unlocked(dmas_.lock);

		copied = copy_through(dma, iova, data, size, write);
	}
	if (copied.ok() && write && dirty_tracking_)
		dma.mark_dirty({iova, iova + (size - 1)}, pgshift());
	if (!copied.ok())
		return copied.error();
	return size;
}

// Copies to or from the address space of the mapping's owner.
// Errors: EPERM if the process has exited, EFAULT.
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
		const Guard guard(dmas_.lock);

		if (WARN_ONCE_IF(dmas_.vaddr_invalid(),
				 "memory copied while addresses are updated"))
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
	const Guard guard(dmas_.lock);

	shim_device_list_add(&devices_, device);
	listeners_++;
}

void Type1::unregister_device(vfio_device *device)
{
	if (!shim_device_hears_unmap(device))
		return;

	const Guard devices(devices_lock_);
	const Guard guard(dmas_.lock);

	shim_device_list_remove(device);
	listeners_--;
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY int type1_dma_rw(type1 *handle, u64 iova, void *data, size_t size, bool write)
{
	return Type1::of(handle).dma_rw({iova}, static_cast<u8 *>(data), size, write).negative();
}

CORE_ENTRY void type1_register_device(type1 *handle, vfio_device *device)
{
	Type1::of(handle).register_device(device);
}

CORE_ENTRY void type1_unregister_device(type1 *handle, vfio_device *device)
{
	Type1::of(handle).unregister_device(device);
}
