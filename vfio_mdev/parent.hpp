// SPDX-License-Identifier: GPL-2.0
//
// MdevParent: a device that is registered as a parent of mediated devices. It
// belongs to the parent's directory mdev_supported_types; each of its mediated
// devices has a reference too, so that the last of them to go finds where its
// instance belongs even if the driver's struct mdev_parent is gone by then.
//
// Whoever creates or removes a device of it is inside (ParentUse). Unregistering
// shuts the door, waits until nobody is inside, and then removes what is left.
// Nobody waits to come in: late callers get ENODEV, for they may be in a sysfs
// file whose removal waits for them.
//
// Invariants, whenever lock_ is free:
// - a device is on mdevs_ exactly if it is active: created, and nobody removes
//   it. Whoever takes it off removes it, and has the reference of the creation;
// - where the core counts instances, available_ and the devices that have one
//   make max_instances of the driver.
//
// Locks: lock_ is innermost, and held for a few words only; nothing of the
// driver's is called with it.
#pragma once

#include "handles.hpp"
#include "vfio_mdev/shim/driver.h"
#include "vfio_mdev/shim/parent.h"
#include "vfio_mdev/shim/type.h"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"

namespace vfio {

class Mdev;
class ParentUse;

struct InParent;

class MdevParent : public mdev_core_parent {
public:
	// Errors: ENOMEM, those of making the types' directories.
	static Result<void> register_parent(mdev_parent *handle, device *dev, mdev_driver *driver,
					    mdev_type **types, u32 ntypes);

	MdevParent(mdev_parent *handle, const mdev_driver *driver, u32 ntypes)
		: handle_(handle), driver_has_(shim_mdev_driver_ops(driver)), ntypes_(ntypes),
		  available_(shim_mdev_driver_max_instances(driver))
	{
	}

	~MdevParent();

	static MdevParent &of(mdev_core_parent *handle)
	{
		return *static_cast<MdevParent *>(handle);
	}

	RefCount &refs()
	{
		return refs_;
	}

	// Valid until unregister() returns.
	mdev_parent *handle() const
	{
		return handle_;
	}

	// Removes its devices, waiting for as long as they are open. The
	// caller's reference to it ends.
	void unregister();

	// How many more devices of a type can be made.
	u32 available(mdev_type *type);

	bool describes_types() const
	{
		return driver_has_ & SHIM_MDEV_DESCRIPTION;
	}

	// Its devices.

	// Takes an instance for a device, to be given back with put_instance().
	// False if the driver counts itself. Errors: EUSERS.
	Result<bool> get_instance();
	void put_instance();

	void activate(Mdev &mdev);

	// Comes in to remove a device, which is the caller's then. Errors: ENODEV
	// if it is being unregistered, EAGAIN if the device is not complete,
	// EALREADY if another removes it.
	Result<ParentUse> begin_removal(Mdev &mdev);

private:
	friend class ParentUse;

	Result<void> add_type(u32 index);
	void remove_types(u32 count);
	// Takes an active device off mdevs_; nullptr if there is none.
	Mdev *take_active();

	// Errors: ENODEV.
	Result<void> enter();
	Result<void> enter_locked() __must_hold(lock_);
	void leave();
	static bool nobody_inside(const void *parent);

	static LockClass lock_class_;
	static LockClass idle_class_;

	mdev_parent *const handle_;
	const u32 driver_has_;
	const u32 ntypes_;
	RefCount refs_;

	Mutex lock_{lock_class_};
	bool registered_ __guarded_by(lock_) = false;
	u32 users_ __guarded_by(lock_) = 0;
	u32 available_ __guarded_by(lock_);
	List<Mdev, InParent> mdevs_ __guarded_by(lock_);
	// Where unregister() waits for users_ to become 0.
	WaitQueue idle_{idle_class_};
};

// That somebody is inside a registered parent.
class ParentUse {
public:
	// Errors: ENODEV if it is not registered, yet or any more.
	static Result<ParentUse> begin(MdevParent &parent);

	ParentUse(ParentUse &&other) : parent_(move(other.parent_))
	{
	}

	ParentUse &operator=(ParentUse &&) = delete;

	~ParentUse()
	{
		if (parent_)
			parent_->leave();
	}

private:
	friend class MdevParent;

	// Of a parent that the caller has entered.
	explicit ParentUse(MdevParent &parent) : parent_(RefPtr<MdevParent>::share(parent))
	{
	}

	RefPtr<MdevParent> parent_;
};

} // namespace vfio
