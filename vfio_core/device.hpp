// SPDX-License-Identifier: GPL-2.0
//
// Device: the core's object for a struct vfio_device, which the device's driver
// allocates. The driver data of the struct device inside the vfio_device points to
// the Device, so that exported functions find it with one load. vfio_init_device()
// makes the Device; it is destroyed when the kernel drops the last reference to that
// struct device.
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
//   IOMMU of the group's container and has been told of the device, and kvm_ holds
//   the virtual machine, if any, that the group had when the first file was opened.
//
// Locks: the set's lock, then the group's. iommu_ and pin_target_ change under both,
// open_count_ under the set's. Functions that need an open device read these without
// a lock: while the device is open, iommu_ and pin_target_ do not change, and
// open_count_ does not fall to zero.
#pragma once

#include "device_set.hpp"
#include "gate.hpp"
#include "group_registry.hpp"
#include "vfio_core/shim/device.h"
#include "vfio_core/shim/device_inode.h"
#include "vfio_core/shim/device_ops.h"
#include "vfio_core/shim/iommu_driver.h"
#include "vfio_core/shim/task.h"

// The C side's handle for a Device.
struct vfio_core_device {};

namespace vfio {

// One of a device's opens, which a DeviceFile holds.
void close_device(Device *device);
using DeviceOpen = Owned<Device *, close_device>;

class Device : public vfio_core_device, public ListNode<InGroup> {
public:
	// Makes the Device of a zeroed vfio_device and calls the driver's init.
	// Errors: ENOMEM, ENOSPC, errors of the driver.
	static Result<void> init(vfio_device *handle, device *dev, const vfio_device_ops *ops);

	// The N of vfioN, the device's name in sysfs. No other device gets the number
	// as long as this is held.
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

	// Returns whether the driver has an operation, one of SHIM_DEVICE_*. Valid
	// once the device has been registered.
	bool has(u32 operation) const
	{
		return has_ & operation;
	}

	// Registration.

	// Errors: EINVAL for an id of zero or if the device is in a set, ENOMEM.
	Result<void> assign_set(SetId id);

	// Errors: EBUSY if the group has a device for the same device of the bus,
	// ENOMEM, those of showing the device in sysfs.
	Result<void> register_in(GroupMembership membership);
	// Waits, for as long as it takes, until nobody uses the device.
	void unregister();

	// Takes a use of the device. Returns an empty reference if the device is not
	// registered.
	DeviceRef try_get()
	{
		return DeviceRef(users_.try_get() ? this : nullptr);
	}

	// Returns whether the device has this name for userspace. The driver's match
	// may write to name. Errors: those of match.
	Result<bool> matches(char *name) const;

	// The group of a registered device.
	Group &group() const
	{
		return *membership_;
	}

	// Returns whether the device is registered in the group, to which the caller
	// holds a reference.
	bool in_group(const vfio_group *group) const
	{
		return static_cast<const vfio_group *>(membership_.get()) == group;
	}

	// The mapping of this inode has the maps of all of the device's files.
	inode *shared_inode() const
	{
		return inode_.get();
	}

	// The set of a registered device.
	DeviceSet &set() const
	{
		return *set_;
	}

	// Gives the device a scheduler, and a gate if it has none. Errors: EBUSY if it has a
	// scheduler, or has files and no gate; ENODEV, ENOMEM.
	Result<RefPtr<Gate>> add_scheduler(const vfio_gate_ops *ops, void *data);

	// Returns the gate, or nullptr. May be called without the lock while the device is open:
	// then it does not change.
	Gate *gate() const __no_lock_analysis
	{
		return gate_.get();
	}

	// Opening.

	// The caller, DeviceFile, holds a use of the device, a use of its group and a
	// reference to its driver's module. Errors: those of the driver's open_device.
	Result<DeviceOpen> open();

	// May be called without the lock: while the device is open, the count may
	// change but does not fall to zero.
	u32 open_count() const __no_lock_analysis
	{
		return __atomic_load_n(&open_count_, __ATOMIC_RELAXED);
	}

	// Called when debugfs is read, while the device is registered (device_show.cpp).
	// show_in_group() is called with the lock of the group's devices held.
	void show_in_group(seq_file *seq) const;
	// Errors: EINVAL if the driver fails.
	Result<void> show_state(seq_file *seq) const;
	void show_features(seq_file *seq) const;
	void show_user(seq_file *seq);

	// The task that has opened the device first; valid while it is open.
	shim_task opener() __must_not_hold(opener_lock_)
	{
		const Guard guard(opener_lock_);

		return opener_;
	}

	// Called by drivers of emulated devices while the device is open.

	// Whether the device can pin this many pages. Inline, because some drivers
	// pin each page by a call of its own.
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

	// Returns why can_pin() is false: EINVAL if the device is not open, if its
	// driver has no dma_unmap, if pages is nullptr or npages is 0; E2BIG if npages
	// is negative or above VFIO_PIN_PAGES_MAX_ENTRIES; ENOTTY if the IOMMU driver
	// cannot pin.
	Error pin_error(int npages, page **pages) const;
	// Logs a warning that says why can_unpin() is false.
	void warn_of_unpin(int npages) const;

	// Copies between a kernel buffer and user memory. Errors: EINVAL if the
	// device is not open, buffer is nullptr or size is 0; ENOTTY; those of the
	// IOMMU driver.
	Result<void> dma_rw(Iova iova, void *buffer, size_t size, bool write);

private:
	friend void close_device(Device *device);
	friend void drop_device_use(Device *device);

	void put_user();
	void note_opener() __must_not_hold(opener_lock_);

	void close();
	// Opens the device for its first file. If this fails, to_drop receives the
	// reference to the virtual machine, which the caller drops when it has
	// released the set's lock.
	Result<void> first_open(KvmRef &to_drop) __must_hold(set_);
	// Closes the device for its last file. Returns the reference to the virtual
	// machine, which the caller drops as above.
	KvmRef last_close() __must_hold(set_);
	// What first_open() does last: has the gate and the driver open the device. Errors: EBUSY
	// if the DMA of the group is cut off for another device; those of both.
	Result<void> open_hardware() __must_hold(set_);
	// Takes the device, and its gate, out of its set, if it is in one.
	void leave_set();
	// Tells the gate that the device is being unregistered. in_use: users may still have it.
	void retire_gate(bool in_use);
	// Undoes what first_open() does before it calls the driver. Returns the
	// reference to the virtual machine, as last_close() does.
	KvmRef end_open() __must_hold(set_);
	// Adds change, 1 for an opened file and -1 for a closed one, to the counts of
	// the device and of its set.
	void count_open(s32 change) __must_hold(set_);
	// Warns if the device is not open.
	bool check_open() const;

	static bool is_page_count(int npages)
	{
		constexpr u32 kMaxPages = kPageSize / sizeof(page *);

		return static_cast<u32>(npages) - 1 < kMaxPages;
	}

	static LockClass opener_lock_class_;

	vfio_device *const handle_;
	// The operations that the driver has, SHIM_DEVICE_* or-ed.
	u32 has_ = 0;
	u32 open_count_ __guarded_by(set_) = 0;
	// Borrowed from the group's container while the device is open.
	ContainerIommu *iommu_ = nullptr;
	// Where the device pins. Its ops are nullptr if the device is closed, its
	// driver has no dma_unmap, or the IOMMU driver cannot pin.
	shim_pin_target pin_target_ = {};
	// The virtual machine that the driver sees while the device is open.
	KvmRef kvm_ __guarded_by(set_);

	// Set before the device is opened, and from then on.
	RefPtr<Gate> gate_ __guarded_by(set_);

	DeviceSet *set_ = nullptr;
	GroupMembership membership_;
	RefCount users_{0};
	const Index index_;
	// Innermost.
	Mutex opener_lock_{opener_lock_class_};
	shim_task opener_ __guarded_by(opener_lock_) = {};
	DebugDir debug_dir_;
	// The inode whose mapping the device's files share.
	Owned<inode *, shim_device_inode_drop> inode_;
};

} // namespace vfio
