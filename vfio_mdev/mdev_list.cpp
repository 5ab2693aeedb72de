// SPDX-License-Identifier: GPL-2.0
#include "mdev_list.hpp"

#include "entry.h"
#include "mdev.hpp"

namespace vfio {

constinit LockClass MdevList::lock_class_ = {"mdev_list", {}};

// A pointer, because the core has no static constructors.
static constinit MdevList *the_list;

MdevList &mdev_list()
{
	return *the_list;
}

CORE_ENTRY int mdev_core_init(void)
{
	Result<UniquePtr<MdevList>> made = make<MdevList>();

	if (!made.ok())
		return made.error().negative();
	the_list = made.take().release();
	return 0;
}

CORE_ENTRY void mdev_core_exit(void)
{
	destroy(exchange(the_list, nullptr));
}

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

	if (static_cast<ListNode<InMdevList> &>(mdev).linked())
		mdevs_.remove(mdev);
}

} // namespace vfio
