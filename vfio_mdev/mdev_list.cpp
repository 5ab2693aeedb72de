// SPDX-License-Identifier: GPL-2.0
#include "mdev_list.hpp"

#include "mdev.hpp"

namespace vfio {

constinit LockClass MdevList::lock_class_ = {"mdev_list", {}};

Result<void> MdevList::add(Mdev &mdev)
{
	Guard guard(lock_);

	for (const Mdev &other : mdevs_)
		if (other.uuid() == mdev.uuid())
			return Error(EEXIST);
	mdevs_.push_front(mdev);
	return {};
}

void MdevList::remove(Mdev &mdev)
{
	Guard guard(lock_);

	// Its neighbours come and go under the lock.
	if (static_cast<ListNode<InMdevList> &>(mdev).linked())
		mdevs_.remove(mdev);
}

} // namespace vfio
