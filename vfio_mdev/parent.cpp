// SPDX-License-Identifier: GPL-2.0
#include "parent.hpp"

#include "entry.h"
#include "mdev.hpp"

namespace vfio {

constinit LockClass MdevParent::lock_class_ = {"mdev_parent", {}};
constinit LockClass MdevParent::idle_class_ = {"mdev_parent_idle", {}};

MdevParent::~MdevParent()
{
	WARN_ONCE_IF(!mdevs_.empty(), "parent of active mediated devices went away");
}

Result<void> MdevParent::register_parent(mdev_parent *handle, device *dev, mdev_driver *driver,
					 mdev_type **types, u32 ntypes)
{
	UniquePtr<MdevParent> made = TRY(make<MdevParent>(handle, driver, ntypes));

	TRY(Result<void>::from_negative(
		shim_mdev_parent_create(handle, made.get(), dev, driver, types, ntypes)));

	// From here on the directory owns the only reference.
	MdevParent &parent = *made.release();
	u32 added = 0;
	Defer undo([&] {
		parent.remove_types(added);
		shim_mdev_parent_destroy(handle);
	});

	for (; added < ntypes; ++added)
		TRY(Result<void>::from_negative(shim_mdev_type_add(handle, added)));
	undo.dismiss();

	if (shim_mdev_parent_link(handle) < 0)
		shim_mdev_parent_warn(handle, "no link to it in the class mdev_bus");
	{
		// Only now can devices be created: while there were devices of a
		// type, a failure of the next type could not be undone.
		Guard guard(parent.lock_);

		parent.registered_ = true;
	}
	shim_mdev_parent_info(handle, "registered as a parent of mediated devices");
	shim_mdev_parent_uevent(handle, "MDEV_STATE=registered");
	return {};
}

CORE_ENTRY int mdev_core_register_parent(mdev_parent *parent, device *dev, mdev_driver *driver,
					 mdev_type **types, u32 ntypes)
{
	return MdevParent::register_parent(parent, dev, driver, types, ntypes).negative();
}

void MdevParent::unregister()
{
	constexpr unsigned int kSeconds = 10;
	const auto nobody_inside = [this] {
		return __atomic_load_n(&users_, __ATOMIC_ACQUIRE) == 0;
	};

	shim_mdev_parent_info(handle_, "unregistering it as a parent of mediated devices");
	{
		Guard guard(lock_);

		registered_ = false;
	}
	while (!idle_.wait_until(nobody_inside, kSeconds))
		;

	shim_mdev_parent_unlink(handle_);
	while (Mdev *mdev = take_active())
		mdev->take_away();
	remove_types(ntypes_);
	shim_mdev_parent_uevent(handle_, "MDEV_STATE=unregistered");
	shim_mdev_parent_destroy(handle_);
}

CORE_ENTRY void mdev_core_unregister_parent(mdev_core_parent *parent)
{
	MdevParent::of(parent).unregister();
}

// Called when the parent's directory is released, whose reference this puts.
CORE_ENTRY void mdev_core_put_parent(mdev_core_parent *parent)
{
	RefPtr<MdevParent>::adopt(&MdevParent::of(parent)).reset();
}

u32 MdevParent::available(mdev_type *type)
{
	if (driver_has_ & SHIM_MDEV_GET_AVAILABLE)
		return shim_mdev_type_available(type);

	Guard guard(lock_);

	return available_;
}

CORE_ENTRY u32 mdev_core_available(mdev_core_parent *parent, mdev_type *type)
{
	return MdevParent::of(parent).available(type);
}

Result<bool> MdevParent::get_instance()
{
	if (driver_has_ & SHIM_MDEV_GET_AVAILABLE)
		return false;

	Guard guard(lock_);

	if (available_ == 0)
		return Error(EUSERS);
	--available_;
	return true;
}

void MdevParent::put_instance()
{
	Guard guard(lock_);

	++available_;
}

void MdevParent::activate(Mdev &mdev)
{
	Guard guard(lock_);

	mdev.created_ = true;
	mdevs_.push_back(mdev);
}

Mdev *MdevParent::take_active()
{
	Guard guard(lock_);

	return mdevs_.pop_front();
}

Result<ParentUse> MdevParent::begin_removal(Mdev &mdev)
{
	Guard guard(lock_);

	if (!mdev.created_)
		return Error(EAGAIN);
	if (!static_cast<ListNode<InParent> &>(mdev).linked())
		return Error(EALREADY);

	ParentUse inside = TRY(enter_locked());

	mdevs_.remove(mdev);
	return inside;
}

void MdevParent::remove_types(u32 count)
{
	for (u32 i = 0; i < count; ++i)
		shim_mdev_type_remove(handle_, i);
}

Result<ParentUse> MdevParent::enter()
{
	Guard guard(lock_);

	return enter_locked();
}

Result<ParentUse> MdevParent::enter_locked()
{
	if (!registered_)
		return Error(ENODEV);
	__atomic_store_n(&users_, users_ + 1, __ATOMIC_RELAXED);
	return ParentUse(RefPtr<MdevParent>::share(*this).release());
}

void leave_parent(MdevParent *parent)
{
	// unregister() may return before the guard releases the lock; until then
	// this reference keeps the object that has the lock.
	const auto last = RefPtr<MdevParent>::adopt(parent);
	Guard guard(parent->lock_);

	__atomic_store_n(&parent->users_, parent->users_ - 1, __ATOMIC_RELEASE);
	if (parent->users_ == 0)
		parent->idle_.wake_all();
}

} // namespace vfio
