// SPDX-License-Identifier: GPL-2.0
//
// Mdev: a mediated device on the mdev bus. The kernel counts the references to
// it; the first is the creation's, and passes to whoever removes it.
//
// Its life goes one way: kCreating, kActive, kRemoved. A creation that fails
// ends in kCreating. Its UUID and its instance are taken until the last
// reference has gone.
//
// Locks: see MdevParent, whose lock guards life_.
#pragma once

#include "mdev_list.hpp"
#include "parent.hpp"
#include "vfio_mdev/shim/mdev.h"

namespace vfio {

class Mdev : public mdev_core_device, public ListNode<InMdevList>, public ListNode<InParent> {
public:
	enum class Life { kCreating, kActive, kRemoved };

	// Makes one and gives it to the parent's driver. Errors: ENODEV if the
	// parent is not registered, EEXIST, EUSERS, ENOMEM, errors of the
	// driver.
	static Result<void> create(MdevParent &parent, mdev_type *type, const Uuid &uuid);

	Mdev(MdevParent &parent, const Uuid &uuid)
		: parent_(RefPtr<MdevParent>::share(parent)), uuid_(uuid)
	{
	}

	~Mdev();

	static Mdev &of(mdev_core_device *handle)
	{
		return *static_cast<Mdev *>(handle);
	}

	const Uuid &uuid() const
	{
		return uuid_;
	}

	// From its own file `remove`: waits for as long as it is open. Does
	// nothing if another is at it. Errors: ENODEV if the parent is being
	// unregistered and will remove it, EAGAIN if it is not complete.
	Result<void> remove();

	// For whoever took it from its parent: takes it off the bus, which waits
	// as long as it is open. It may be gone afterwards.
	void take_away();

	// With the parent's lock.
	Life life_locked() const
	{
		return life_;
	}

	void set_life_locked(Life life)
	{
		life_ = life;
	}

private:
	const RefPtr<MdevParent> parent_;
	const Uuid uuid_;
	mdev_device *handle_ = nullptr;
	bool has_instance_ = false;
	Life life_ = Life::kCreating;
};

} // namespace vfio
