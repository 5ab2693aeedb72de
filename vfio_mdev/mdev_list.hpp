// SPDX-License-Identifier: GPL-2.0
//
// MdevList: all mediated devices of all parents. No two have the same UUID. A device
// is on the list from its creation until the last reference to it has gone,
// which may be after it was removed.
//
// Locks: no other lock is taken while lock_ is held.
#pragma once

#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/result.hpp"
#include "vocab/warn.hpp"

namespace vfio {

class Mdev;

struct InMdevList;

class MdevList : Immovable {
public:
	MdevList() = default;

	~MdevList()
	{
		WARN_ONCE_IF(!mdevs_.empty(), "mediated devices are left at the end");
	}

	// Errors: EEXIST if there is a device of the same UUID.
	Result<void> add(Mdev &mdev);
	// Does nothing if the device is not on the list.
	void remove(Mdev &mdev);

private:
	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	List<Mdev, InMdevList> mdevs_ __guarded_by(lock_);
};

// The module's only list, from mdev_core_init() to mdev_core_exit().
MdevList &mdev_list();

} // namespace vfio
