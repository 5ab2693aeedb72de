// SPDX-License-Identifier: GPL-2.0
//
// DeviceSet: devices that must be opened and closed one after the other, for
// example because they can only be reset together. Drivers name a set by a value of
// their choice; a device whose driver names none has a set of its own.
//
// A set lives as long as it has devices. It owns the kernel's struct
// vfio_device_set, whose list of devices drivers walk; the core has a list of its
// own.
//
// Locks: a set's lock is the one in that struct, and drivers take it as well. It is
// held around a device's open and close, outside the group's lock. The lock of
// DeviceSetRegistry is taken with no other.
#pragma once

#include "vfio_core/shim/device_set.h"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"
#include "vocab/range_tree.hpp"

// The C side's handle for a DeviceSet.
struct vfio_core_device_set {};

namespace vfio {

class Device;

struct InSet;

using SetId = Address<struct SetIdTag>;

// The kernel's struct of a set, and its lock.
class __lockable KernelDeviceSet : Immovable {
public:
	~KernelDeviceSet()
	{
		if (set_)
			shim_device_set_destroy(set_);
	}

	// Errors: ENOMEM.
	Result<void> create(SetId id, vfio_core_device_set &owner)
	{
		set_ = shim_device_set_create(id.value, &owner);
		if (!set_)
			return Error(ENOMEM);
		return {};
	}

	vfio_device_set *get() const
	{
		return set_;
	}

	// For exported functions whose callers must hold it.
	void assert_locked() const __asserts_lock(this)
	{
		shim_device_set_assert_locked(set_);
	}

private:
	vfio_device_set *set_ = nullptr;
};

class __scoped_guard DeviceSetGuard : Immovable {
public:
	explicit DeviceSetGuard(KernelDeviceSet &set) __acquires_lock(set) : set_(set)
	{
		shim_device_set_lock(set_.get());
	}

	~DeviceSetGuard() __releases_lock()
	{
		shim_device_set_unlock(set_.get());
	}

private:
	KernelDeviceSet &set_;
};

class DeviceSet : public vfio_core_device_set, public RangeNode<DeviceSet> {
public:
	// Errors: ENOMEM.
	static Result<UniquePtr<DeviceSet>> create(SetId id);

	explicit DeviceSet(SetId id) : id_(id)
	{
	}

	static DeviceSet &of(vfio_core_device_set *handle)
	{
		return *static_cast<DeviceSet *>(handle);
	}

	Range<SetId> range() const
	{
		return {id_, id_};
	}

	KernelDeviceSet &lock() __returns_lock(lock_)
	{
		return lock_;
	}

	void add(Device &device) __must_hold(lock_);
	void remove(Device &device) __must_hold(lock_);

	// How many files of its devices are open.
	u32 open_count() const __must_hold(lock_);

private:
	friend class DeviceSetRegistry;

	const SetId id_;
	// Guarded by the registry's lock.
	u32 members_ = 0;
	KernelDeviceSet lock_;
	List<Device, InSet> devices_ __guarded_by(lock_);
};

class DeviceSetRegistry : Immovable {
public:
	// Puts a device into the set of that id. Errors: ENOMEM.
	Result<DeviceSet *> join(Device &device, SetId id);
	void leave(Device &device, DeviceSet &set);

private:
	Result<DeviceSet *> get_or_create(SetId id);

	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	RangeTree<DeviceSet, SetId> sets_ __guarded_by(lock_);
};

} // namespace vfio
