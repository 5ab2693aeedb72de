// SPDX-License-Identifier: GPL-2.0
//
// DeviceSet: devices whose opens and closes one lock serializes, for example because
// the devices can only be reset together. Drivers name a set by a value of their
// choice; a device whose driver names none has a set of its own.
//
// A set lives as long as it has devices. It owns the kernel's struct
// vfio_device_set, whose list of devices drivers walk.
//
// Locks: a set's lock is the one in the struct vfio_device_set, and drivers take it as
// well. It is held while a device is opened or closed, and is taken before the group's
// lock. No other lock is taken while the lock of DeviceSetRegistry is held.
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
class Gate;

// The list of its set that a Gate is on.
struct InDeviceSet;

using SetId = Address<struct SetIdTag>;

class __lockable DeviceSet : public vfio_core_device_set, public RangeNode<DeviceSet> {
public:
	// Errors: ENOMEM.
	static Result<UniquePtr<DeviceSet>> create(SetId id);

	explicit DeviceSet(SetId id) : id_(id), kernel_set_(shim_device_set_create(id.value, this))
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

	vfio_device_set *kernel_set() const
	{
		return kernel_set_.get();
	}

	// Makes lockdep warn if the caller does not hold the lock, which callers of
	// some exported functions must.
	void assert_locked() const __asserts_lock(this)
	{
		shim_device_set_assert_locked(kernel_set());
	}

	// Returns how many files of its devices are open.
	u32 open_count() const __must_hold(this)
	{
		return open_count_;
	}

	// Adds change to open_count().
	void count_open(s32 change) __must_hold(this)
	{
		open_count_ += change;
	}

	// A device of the set has got a gate. It leaves the list before the device leaves the set.
	void add_gate(Gate &gate) __must_hold(this);
	void remove_gate(Gate &gate) __must_hold(this);

private:
	friend class EnteredGates;
	friend class DeviceSetRegistry;

	const SetId id_;
	const Owned<vfio_device_set *, shim_device_set_destroy> kernel_set_;
	u32 open_count_ __guarded_by(this) = 0;
	List<Gate, InDeviceSet> gates_ __guarded_by(this);
	// How many devices it has. Guarded by the registry's lock.
	u32 members_ = 0;
};

class __scoped_guard DeviceSetGuard : Immovable {
public:
	explicit DeviceSetGuard(DeviceSet &set) __acquires_lock(set) : set_(set)
	{
		shim_device_set_lock(set_.kernel_set());
	}

	~DeviceSetGuard() __releases_lock()
	{
		shim_device_set_unlock(set_.kernel_set());
	}

private:
	DeviceSet &set_;
};

// The gates that a call has entered which reaches all devices of a set. The destructor leaves
// them.
class EnteredGates : Immovable {
public:
	// Enters the gates of a set but for one, which the caller is inside or which is nullptr.
	// Errors: EBUSY if one lets no call in, ENOMEM; some may have been entered then.
	Result<void> enter(DeviceSet &set, const Gate *but) __must_not_hold(set);

	~EnteredGates();

private:
	struct Entered;

	List<Entered> entered_;
};

class DeviceSetRegistry : Immovable {
public:
	// Puts a device into the set with this id, and makes the set if there is
	// none. Errors: ENOMEM.
	Result<DeviceSet *> join(Device &device, SetId id);
	// Takes a device out of its set, and destroys a set that is empty then.
	void leave(Device &device, DeviceSet &set);

private:
	Result<DeviceSet *> get_or_create(SetId id);

	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	RangeTree<DeviceSet, SetId> sets_ __guarded_by(lock_);
};

} // namespace vfio
