// SPDX-License-Identifier: GPL-2.0
//
// A device's files: opened, closed, and what is done through them. All that
// userspace does with a device passes through the methods here.
#include "device.hpp"
#include "device_feature.hpp"
#include "shim/task.h"
#include "shim/uapi.h"

namespace vfio {

Result<FileRef> Device::open_file()
{
	Group &group = *membership_.get();

	TRY(group.add_user());

	Defer drop_user([&group] { group.drop_user(); });

	if (!shim_device_module_get(handle_))
		return Error(ENODEV);

	Defer put_module([this] { shim_device_module_put(handle_); });

	TRY(open_once());

	Defer close([this] { close_once(); });
	file *made = nullptr;

	TRY(Result<void>::from_negative(shim_file_create_device(this, &made)));
	close.dismiss();
	put_module.dismiss();
	drop_user.dismiss();

	if (group.type() == SHIM_GROUP_NOIOMMU) {
		shim_task task;

		shim_current_task(&task);
		shim_device_warn(handle_, "vfio-noiommu device opened by user (%s:%d)", task.name,
				 task.pid);
	}
	return FileRef(made);
}

void Device::close_file()
{
	close_once();
	shim_device_module_put(handle_);
	membership_->drop_user();
	put_user();
}

Result<void> Device::open_once()
{
	// Dropped after the guard, without our locks: the last reference
	// destroys the virtual machine.
	KvmRef to_drop;
	DeviceSetGuard guard(set_->lock());

	if (open_count_ == 0)
		return first_open(to_drop);
	set_open_count(open_count_ + 1);
	return {};
}

void Device::close_once()
{
	// Dropped after the guard, as in open_once().
	KvmRef to_drop;
	DeviceSetGuard guard(set_->lock());

	if (!check_open())
		return;
	if (open_count_ == 1)
		to_drop = last_close();
	else
		set_open_count(open_count_ - 1);
}

Result<void> Device::first_open(KvmRef &to_drop)
{
	Group &group = *membership_.get();
	Guard guard(group.lock());

	// The container stays with the group, and its IOMMU with the container,
	// as long as the group has the user that this file is.
	iommu_ = group.iommu_locked().get();
	// Only a driver that can be told to unpin may pin.
	if (has(SHIM_DEVICE_DMA_UNMAP))
		pin_target_ = iommu_->pin_target(group.kernel_group());

	// A driver may pin in its open_device, so the device counts as open and
	// the IOMMU driver knows it before. Its dma_unmap may therefore be called
	// before its open_device. The virtual machine stays until the driver's
	// close_device has returned.
	set_open_count(1);
	kvm_ = group.share_kvm();
	shim_device_set_kvm(handle_, kvm_.get());
	iommu_->device_opened(handle_);
	if (has(SHIM_DEVICE_OPEN)) {
		const int opened = shim_device_open(handle_);

		if (opened < 0) {
			to_drop = end_open();
			return Error::from_negative(opened);
		}
	}
	return {};
}

KvmRef Device::last_close()
{
	Guard guard(membership_->lock());

	if (has(SHIM_DEVICE_CLOSE))
		shim_device_close(handle_);
	return end_open();
}

// Undoes what first_open() does before it calls the driver. Returns the
// reference to the virtual machine, which the caller drops without our locks.
KvmRef Device::end_open()
{
	iommu_->device_closed(handle_);
	shim_device_set_kvm(handle_, nullptr);
	set_open_count(0);
	iommu_ = nullptr;
	pin_target_ = {};
	return move(kvm_);
}

void Device::set_open_count(u32 count)
{
	__atomic_store_n(&open_count_, count, __ATOMIC_RELAXED);
	shim_device_set_open_count(handle_, count);
}

bool Device::check_open() const
{
	return !WARN_ONCE_IF(open_count() == 0, "use of a device that is not open");
}

Result<long> Device::read(UserVa to, size_t size, s64 *position)
{
	if (!has(SHIM_DEVICE_READ)) [[unlikely]]
		return Error(EINVAL);
	return result_of(shim_device_read(handle_, to.value, size, position));
}

Result<long> Device::write(UserVa from, size_t size, s64 *position)
{
	if (!has(SHIM_DEVICE_WRITE)) [[unlikely]]
		return Error(EINVAL);
	return result_of(shim_device_write(handle_, from.value, size, position));
}

Result<long> Device::ioctl(u32 cmd, u64 arg)
{
	const bool pm = has(SHIM_DEVICE_PM);

	if (pm) {
		const int resumed = shim_device_pm_get(handle_);

		if (resumed < 0) {
			shim_device_info(handle_, "vfio: runtime resume failed %d", resumed);
			return Error(EIO);
		}
	}

	const Defer let_sleep([this, pm] {
		if (pm)
			shim_device_pm_put(handle_);
	});

	if (cmd == VFIO_DEVICE_FEATURE)
		return device_feature(*this, {arg});
	if (!has(SHIM_DEVICE_IOCTL)) [[unlikely]]
		return Error(EINVAL);
	return result_of(shim_device_ioctl(handle_, cmd, arg));
}

Result<void> Device::mmap(vm_area_struct *vma)
{
	if (!has(SHIM_DEVICE_MMAP)) [[unlikely]]
		return Error(EINVAL);
	return Result<void>::from_negative(shim_device_mmap(handle_, vma));
}

Error Device::pin_error(int npages, page **pages) const
{
	if (!pages || npages == 0 || !check_open() || !has(SHIM_DEVICE_DMA_UNMAP))
		return Error(EINVAL);
	return is_page_count(npages) ? Error(ENOTTY) : Error(E2BIG);
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
	return iommu_->dma_rw(iova.value, buffer, size, write);
}

} // namespace vfio
