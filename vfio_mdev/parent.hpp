// SPDX-License-Identifier: GPL-2.0
//
// MdevParent: a device that is registered as a parent of mediated devices. The
// parent's directory mdev_supported_types has a reference to it, and so has each
// of its mediated devices. A device that outlives the driver's struct
// mdev_parent can therefore still give its instance back.
//
// A caller that creates or removes a mediated device enters the parent
// (ParentUse). unregister() lets nobody enter any more, waits until all have
// left, and then removes the remaining devices. A caller that comes too late
// gets ENODEV at once: it may not wait for unregister(), because it may be in a
// sysfs file, and the removal of that file waits until the caller has left it.
//
// Invariants, whenever lock_ is free:
// - mdevs_ has the devices that are active: created, and not being removed. A
//   caller that takes a device off mdevs_ must remove it, and owns the
//   reference that Mdev::create() took;
// - if the core counts instances, available_ and the number of devices that
//   have an instance add up to max_instances of the driver.
//
// Locks: no other lock is taken, and nothing of the driver is called, while
// lock_ is held.
#pragma once

#include "vfio_mdev/shim/driver.h"
#include "vfio_mdev/shim/parent.h"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"

// The parent, as the C side names it.
struct mdev_core_parent {};

namespace vfio {

class Mdev;
class MdevParent;

struct InParent;

void leave_parent(MdevParent *parent);

// Its owner has entered the parent, and has a reference to it.
using ParentUse = Owned<MdevParent *, leave_parent>;

class MdevParent : public mdev_core_parent {
public:
	// Errors: ENOMEM, EEXIST if two types have one name, errors of sysfs.
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

	// Removes the parent's devices, waiting for as long as they are open, and
	// its directory with the reference that the directory has.
	void unregister();

	// How many more devices of a type can be created.
	u32 available(mdev_type *type);

	// Errors: ENODEV if the parent is not yet registered, or not any more.
	Result<ParentUse> enter();

	// Enters the parent and takes an active device off mdevs_, so that the
	// caller must remove it. Errors: ENODEV as enter(), EAGAIN if the device
	// is still being created, EALREADY if another caller removes it.
	Result<ParentUse> begin_removal(Mdev &mdev);

	// Takes an instance for a device, which put_instance() gives back.
	// Returns false if the driver itself counts its devices. Errors: EUSERS
	// if none is left.
	Result<bool> get_instance();
	void put_instance();

	// Puts a device that is complete on mdevs_.
	void activate(Mdev &mdev);

private:
	friend void leave_parent(MdevParent *parent);

	void remove_types(u32 count);
	// Takes any device off mdevs_; returns nullptr if there is none.
	Mdev *take_active();
	Result<ParentUse> enter_locked() __must_hold(lock_);

	static LockClass lock_class_;
	static LockClass idle_class_;

	mdev_parent *const handle_;
	const u32 driver_has_;
	const u32 ntypes_;
	RefCount refs_;

	Mutex lock_{lock_class_};
	bool registered_ __guarded_by(lock_) = false;
	// How many ParentUse there are. Written with lock_ held; unregister()
	// reads it without.
	u32 users_ = 0;
	u32 available_ __guarded_by(lock_);
	List<Mdev, InParent> mdevs_ __guarded_by(lock_);
	// unregister() waits here until users_ is 0.
	WaitQueue idle_{idle_class_};
};

} // namespace vfio
