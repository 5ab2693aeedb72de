// SPDX-License-Identifier: GPL-2.0
//
// A device while it is open: what its first open and its last close do, and how
// its driver pins, reads and writes user memory.
#include "device.hpp"

#include "entry.h"
#include "registries.hpp"
#include "vfio_core/shim/trace.h"

namespace vfio {

Result<DeviceOpen> Device::open()
{
	// Dropped after the set's lock is released, because dropping the last
	// reference destroys the virtual machine, which takes locks.
	KvmRef to_drop;
	DeviceSetGuard guard(*set_);
	Result<void> opened;

	if (open_count_ == 0)
		opened = first_open(to_drop);
	else
		count_open(1);
	shim_trace_device_open(handle_, open_count_, opened.negative());
	if (!opened.ok())
		return opened.error();
	return DeviceOpen(this);
}

void Device::close()
{
	// Dropped after the set's lock is released, as in open().
	KvmRef to_drop;
	DeviceSetGuard guard(*set_);

	if (!check_open())
		return;
	if (open_count_ == 1)
		to_drop = last_close();
	else
		count_open(-1);
	shim_trace_device_close(handle_, open_count_);
}

void close_device(Device *device)
{
	device->close();
}

Result<void> Device::first_open(KvmRef &to_drop)
{
	Group &group = this->group();
	Guard guard(group.lock());

	// The DeviceFile holds a use of the group, so that the group keeps its
	// container, and the container its IOMMU.
	iommu_ = group.iommu_locked().get();
	// A driver may pin only if it can be told to unpin.
	if (has(SHIM_DEVICE_DMA_UNMAP))
		pin_target_ = iommu_->pin_target(group.kernel_group());

	// A driver may pin in its open_device. So the device counts as open, and the
	// IOMMU driver is told of it, before open_device is called; the driver's
	// dma_unmap may therefore be called before its open_device. The reference to
	// the virtual machine is held until the driver's close_device has returned.
	note_opener();
	count_open(1);
	kvm_ = group.share_kvm();
	shim_device_set_kvm(handle_, kvm_.get());
	iommu_->device_opened(handle_);

	const Result<void> opened = open_hardware();

	if (!opened.ok())
		to_drop = end_open();
	return opened;
}

void Device::note_opener()
{
	const Guard guard(opener_lock_);

	shim_current_task(&opener_);
}

Result<void> Device::open_hardware()
{
	if (group().dma_reserved_by_other(*this))
		return Error(EBUSY);
	if (gate_)
		TRY(gate_->device_opened(*this, *iommu_));

	Result<void> opened;

	if (has(SHIM_DEVICE_OPEN))
		opened = Result<void>::from_negative(shim_device_open(handle_));
	if (gate_)
		opened.ok() ? gate_->device_ready() : gate_->device_closed();
	return opened;
}

KvmRef Device::last_close()
{
	Guard guard(group().lock());

	if (gate_)
		gate_->device_closing();
	if (has(SHIM_DEVICE_CLOSE))
		shim_device_close(handle_);
	if (gate_)
		gate_->device_closed();
	shim_device_set_precopy_info_v2(handle_, false);
	return end_open();
}

KvmRef Device::end_open()
{
	iommu_->device_closed(handle_);
	shim_device_set_kvm(handle_, nullptr);
	count_open(-1);
	iommu_ = nullptr;
	pin_target_ = {};
	return move(kvm_);
}

Result<RefPtr<Gate>> Device::add_scheduler(const vfio_gate_ops *ops, void *data)
{
	DeviceSetGuard guard(*set_);

	if (!gate_) {
		if (open_count_)
			return Error(EBUSY);
		gate_ = TRY(Gate::create(handle_, inode_.get()));
		set_->add_gate(*gate_);
	}
	TRY(gate_->start(ops, data));
	return RefPtr<Gate>(gate_);
}

void Device::leave_set()
{
	if (!set_)
		return;
	{
		DeviceSetGuard guard(*set_);

		if (gate_)
			set_->remove_gate(*gate_);
	}
	registries().device_sets.leave(*this, *set_);
}

void Device::retire_gate(bool in_use)
{
	DeviceSetGuard guard(*set_);

	if (!gate_)
		return;
	gate_->retire();
	if (!in_use)
		gate_->forget_frames();
}

void Device::count_open(s32 change)
{
	const u32 count = open_count_ + change;

	__atomic_store_n(&open_count_, count, __ATOMIC_RELAXED);
	shim_device_set_open_count(handle_, count);
	set_->count_open(change);
}

bool Device::check_open() const
{
	return !WARN_ONCE_IF(open_count() == 0, "use of a device that is not open");
}

CORE_ENTRY int vfio_core_device_pin(vfio_core_device *handle, u64 iova, int npages, int prot,
				    page **pages)
{
	const Device &device = Device::of(handle);

	if (!device.can_pin(npages, pages)) [[unlikely]]
		return device.pin_error(npages, pages).negative();
	return shim_iommu_driver_pin(&device.pin_target(), iova, npages, prot, pages);
}

Error Device::pin_error(int npages, page **pages) const
{
	if (!pages || npages == 0 || !check_open() || !has(SHIM_DEVICE_DMA_UNMAP))
		return Error(EINVAL);
	return is_page_count(npages) ? Error(ENOTTY) : Error(E2BIG);
}

CORE_ENTRY void vfio_core_device_unpin(vfio_core_device *handle, u64 iova, int npages)
{
	const Device &device = Device::of(handle);

	if (device.can_unpin(npages)) [[likely]]
		shim_iommu_driver_unpin(&device.pin_target(), iova, npages);
	else
		device.warn_of_unpin(npages);
}

void Device::warn_of_unpin(int npages) const
{
	if (!WARN_ONCE_IF(!is_page_count(npages), "unpin of an impossible count") && check_open())
		WARN_ONCE_IF(true, "unpin by a device that cannot pin");
}

Result<void> Device::dma_rw(Iova iova, void *buffer, size_t size, bool write)
{
	if (!buffer || size == 0 || !check_open()) [[unlikely]]
		return Error(EINVAL);
	return iommu_->dma_rw(iova, buffer, size, write);
}

CORE_ENTRY int vfio_core_device_dma_rw(vfio_core_device *device, u64 iova, void *buffer,
				       size_t size, bool write)
{
	return Device::of(device).dma_rw({iova}, buffer, size, write).negative();
}

} // namespace vfio
