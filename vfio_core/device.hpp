// SPDX-License-Identifier: GPL-2.0
//
// Device: what the core knows of a struct vfio_device. It hangs off the driver
// data of the kernel's struct device in there, one load away from what the
// exported functions are given; files point to it. It is made by vfio_init_device() and
// goes with the last of the kernel's references.
//
// A device can be opened while it is registered. users_ counts its files and
// searches, and the registration itself; unregistering first takes the device
// out of its group, so that no search finds it any more, then drops that one
// and waits for the others. users_ is zero while the device is not registered.
//
// Invariants, whenever the set's lock is free:
// - open_count_ is how many files it has, each of which has a user of its
//   group, a reference to its bus driver's module, and one of users_;
// - with a file, the driver's open_device has succeeded, iommu_ is the IOMMU
//   of its group's container and knows the device, and kvm_ holds the virtual
//   machine, if any, that the group had when the first file was opened.
//
// Locks: the set's lock, then the group's. iommu_ and open_count_ change under
// both; reads, writes, maps, ioctls, pins take neither, for an open device
// keeps them as they are.
#pragma once

#include "device_set.hpp"
#include "group_list.hpp"
#include "shim/iommu_driver.h"
#include "shim/vfio_device.h"

// The C side's handle for a Device.
struct vfio_core_device {};

namespace vfio {

class Device : public vfio_core_device, public ListNode<InGroup>, public ListNode<InSet> {
public:
	// Gives a zeroed vfio_device its object and lets the driver fill in its
	// part. Errors: ENOMEM, ENOSPC, errors of the driver.
	static Result<void> init(vfio_device *handle, device *dev, const vfio_device_ops *ops);

	Device(vfio_device *handle, int index) : handle_(handle), index_(index)
	{
	}

	~Device();

	static Device &of(vfio_core_device *handle)
	{
		return *static_cast<Device *>(handle);
	}

	vfio_device *handle() const
	{
		return handle_;
	}

	device *dev() const
	{
		return shim_device_dev(handle_);
	}

	bool has(u32 operation) const
	{
		return has_ & operation;
	}

	// Frees it, and lets the driver free the vfio_device.
	void release();

	// Errors: EINVAL if it is in a set, ENOMEM.
	Result<void> assign_set(SetId id);

	// Errors: EBUSY if it is registered, ENOMEM, those of joining a group
	// and of showing up in sysfs.
	Result<void> register_in(GroupMembership membership);
	// Waits, for as long as it takes, until nobody uses it.
	void unregister();

	// Returns an empty reference if the device is not registered.
	DeviceRef try_get()
	{
		return DeviceRef(users_.try_get() ? this : nullptr);
	}

	// Whether userspace means it by a name; name may be written to.
	// Errors: those of the driver's match.
	Result<bool> matches(char *name) const;

	// Whether it is in a group. For those who hold the group.
	bool in_group(const vfio_group *group) const
	{
		return static_cast<const vfio_group *>(membership_.get()) == group;
	}

	// Its files. open_file() expects a user, whom the file takes over if it
	// is made. Errors: EINVAL without an IOMMU, EPERM, ENODEV if its driver
	// is being unloaded, errors of the driver's open, ENFILE, ENOMEM.
	Result<FileRef> open_file();
	void close_file();

	// May be asked without the lock by those who know it open.
	u32 open_count() const __no_lock_analysis
	{
		return __atomic_load_n(&open_count_, __ATOMIC_RELAXED);
	}

	Result<long> read(UserVa to, size_t size, s64 *position);
	Result<long> write(UserVa from, size_t size, s64 *position);
	Result<long> ioctl(u32 cmd, u64 arg);
	Result<void> mmap(vm_area_struct *vma);

	// For drivers of emulated devices, while open.

	// Whether it can pin so many pages, and where. Some devices do so for
	// every page.
	bool can_pin(int npages, page **pages) const
	{
		return pages && can_unpin(npages);
	}

	bool can_unpin(int npages) const
	{
		return is_page_count(npages) && pin_target_.ops;
	}

	const shim_pin_target &pin_target() const
	{
		return pin_target_;
	}

	// Why the device cannot pin: EINVAL if it is not open, if its driver
	// has no dma_unmap, or if npages is 0; E2BIG if npages is negative or
	// above VFIO_PIN_PAGES_MAX_ENTRIES; ENOTTY if the IOMMU driver cannot.
	Error pin_error(int npages, page **pages) const;
	void warn_of_unpin(int npages) const;

	// Errors: EINVAL if not open or for no bytes, ENOTTY, those of the IOMMU
	// driver.
	Result<void> dma_rw(Iova iova, void *buffer, size_t size, bool write);

private:
	friend void put_use(Device *device);

	Result<void> open_once();
	void close_once();
	// Each passes a reference to the virtual machine out that the caller
	// drops after the set's lock; first_open() does so if it fails.
	Result<void> first_open(KvmRef &to_drop) __must_hold(set_->lock());
	KvmRef last_close() __must_hold(set_->lock());
	KvmRef end_open() __must_hold(set_->lock());
	void set_open_count(u32 count) __must_hold(set_->lock());
	void put_user();
	// Warns if not.
	bool check_open() const;

	static bool is_page_count(int npages)
	{
		constexpr u32 kMost = kPageSize / sizeof(page *);

		return static_cast<u32>(npages) - 1 < kMost;
	}

	vfio_device *const handle_;
	u32 has_ = 0;
	u32 open_count_ __guarded_by(set_->lock()) = 0;
	// Borrowed from the group while open.
	ContainerIommu *iommu_ = nullptr;
	// Where the device pins; empty if it is closed or has no dma_unmap.
	shim_pin_target pin_target_ = {};
	// The virtual machine that the driver sees while open.
	KvmRef kvm_ __guarded_by(set_->lock());

	DeviceSet *set_ = nullptr;
	GroupMembership membership_;
	RefCount users_{0};
	const int index_;
};

} // namespace vfio
