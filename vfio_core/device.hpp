// SPDX-License-Identifier: GPL-2.0
//
// Device: what the core knows of a struct vfio_device, which is its driver's. It
// is the driver data of the kernel's struct device in there, so that exported
// functions find it with one load. vfio_init_device() makes it, and it goes with
// the last of the kernel's references.
//
// A device can be opened while it is registered. users_ counts its files, the
// searches that have found it, and the registration itself. Unregistering first
// takes the device out of its group, so that no search finds it any more, then
// drops the registration's use and waits for the others. users_ is zero while the
// device is not registered.
//
// Invariants, whenever the set's lock is free:
// - open_count_ is how many files the device has (DeviceFile);
// - if there is a file, the driver's open_device has succeeded, iommu_ is the
//   IOMMU of the group's container and knows the device, and kvm_ holds the
//   virtual machine, if any, that the group had when the first file was opened.
//
// Locks: the set's lock, then the group's. iommu_, pin_target_ and open_count_
// change under both. Functions that need an open device read them without a lock,
// because they stay as they are while it is open.
#pragma once

#include "device_set.hpp"
#include "group_registry.hpp"
#include "vfio_core/shim/device.h"
#include "vfio_core/shim/device_ops.h"
#include "vfio_core/shim/iommu_driver.h"

// The C side's handle for a Device.
struct vfio_core_device {};

namespace vfio {

// One of a device's opens; DeviceFile holds it.
void close_device(Device *device);
using DeviceOpen = Owned<Device *, close_device>;

class Device : public vfio_core_device, public ListNode<InGroup> {
public:
	// Makes the Device of a zeroed vfio_device and lets the driver fill in its
	// part. Errors: ENOMEM, ENOSPC, errors of the driver.
	static Result<void> init(vfio_device *handle, device *dev, const vfio_device_ops *ops);

	// A device's number, which is taken as long as this is held.
	using Index = Owned<int, shim_device_index_free, -1>;

	Device(vfio_device *handle, Index index) : handle_(handle), index_(move(index))
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

	// Whether the driver has an operation, one of SHIM_DEVICE_*.
	bool has(u32 operation) const
	{
		return has_ & operation;
	}

	// The registration.

	// Errors: EINVAL if the device is in a set, ENOMEM.
	Result<void> assign_set(SetId id);

	// Errors: EBUSY if it is registered, ENOMEM, those of showing the device in
	// sysfs.
	Result<void> register_in(GroupMembership membership);
	// Waits, for as long as it takes, until nobody uses the device.
	void unregister();

	// Returns an empty reference if the device is not registered.
	DeviceRef try_get()
	{
		return DeviceRef(users_.try_get() ? this : nullptr);
	}

	// Whether userspace means the device by a name, which the driver may write
	// to. Errors: those of the driver's match.
	Result<bool> matches(char *name) const;

	// The group of a registered device.
	Group &group() const
	{
		return *membership_;
	}

	// Whether the device is registered in a group that the caller keeps.
	bool in_group(const vfio_group *group) const
	{
		return static_cast<const vfio_group *>(membership_.get()) == group;
	}

	// Its opens.

	// The caller holds a use of the device, of its group and of its driver's
	// module. Errors: those of the driver's open_device.
	Result<DeviceOpen> open();

	// May be read without the lock by those who keep the device open.
	u32 open_count() const __no_lock_analysis
	{
		return __atomic_load_n(&open_count_, __ATOMIC_RELAXED);
	}

	// What drivers of emulated devices do while the device is open.

	// Some drivers pin each page by a call of its own, so these are inline.
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

	// Why can_pin() is false: EINVAL if the device is not open, if its driver
	// has no dma_unmap, or if npages is 0; E2BIG if npages is negative or
	// above VFIO_PIN_PAGES_MAX_ENTRIES; ENOTTY if the IOMMU driver cannot pin.
	Error pin_error(int npages, page **pages) const;
	// Why can_unpin() is false, as a warning.
	void warn_of_unpin(int npages) const;

	// Copies between a buffer and the user's memory. Errors: EINVAL if the
	// device is not open or for no bytes, ENOTTY, those of the IOMMU driver.
	Result<void> dma_rw(Iova iova, void *buffer, size_t size, bool write);

private:
	friend void close_device(Device *device);
	friend void drop_use(Device *device);

	void put_user();

	void close();
	// The reference to the virtual machine that each takes away goes to the
	// caller, who drops it after the set's lock. first_open() does so if it
	// fails.
	Result<void> first_open(KvmRef &to_drop) __must_hold(set_);
	KvmRef last_close() __must_hold(set_);
	KvmRef end_open() __must_hold(set_);
	// A file was opened (1) or closed (-1).
	void count_open(s32 change) __must_hold(set_);
	// Warns if the device is not open.
	bool check_open() const;

	static bool is_page_count(int npages)
	{
		constexpr u32 kMost = kPageSize / sizeof(page *);

		return static_cast<u32>(npages) - 1 < kMost;
	}

	vfio_device *const handle_;
	u32 has_ = 0;
	u32 open_count_ __guarded_by(set_) = 0;
	// Borrowed from the group's container while the device is open.
	ContainerIommu *iommu_ = nullptr;
	// Where the device pins. Its ops are nullptr if the device is closed, its
	// driver has no dma_unmap, or the IOMMU driver cannot pin.
	shim_pin_target pin_target_ = {};
	// The virtual machine that the driver sees while the device is open.
	KvmRef kvm_ __guarded_by(set_);

	DeviceSet *set_ = nullptr;
	GroupMembership membership_;
	RefCount users_{0};
	const Index index_;
};

} // namespace vfio
