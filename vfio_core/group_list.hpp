// SPDX-License-Identifier: GPL-2.0
//
// GroupList: the groups that have devices. Each IOMMU group has one of ours at
// most. Getting the first device makes it and its file; losing the last takes
// the file away, before another can be made for the same IOMMU group.
//
// Locks: its lock is outermost.
#pragma once

#include "group.hpp"

namespace vfio {

// Takes a device out of its group: out of the IOMMU group that was made for it, if
// one was. The last device that leaves ends the group.
void leave(Group *group);

// That a device belongs to a group, which exists as long as this is held.
using GroupMembership = Owned<Group *, leave>;

class GroupList : Immovable {
public:
	GroupList() = default;

	~GroupList()
	{
		WARN_ONCE_IF(!groups_.empty(), "groups are left at the end");
	}

	// A place in the group that the device is in. Without an IOMMU, if the
	// administrator allows that: in a no-IOMMU group of its own.
	// Errors: EINVAL without a group or if its DMA cannot be kept coherent
	// with caches, ENOMEM, ENOSPC, those of making the file.
	Result<GroupMembership> join(device *dev);

	// A place in an emulated group of its own. Errors: as join().
	Result<GroupMembership> join_emulated(device *dev);

	// Counts a device less in a group, and ends the group if it was the last.
	void put(Group &group);

private:
	Result<GroupMembership> join_own(device *dev, const char *name, shim_group_type type);
	Result<Group *> get_or_create(const IommuGroupRef &iommu_group, shim_group_type type,
				      device *own_dev);

	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	List<Group, InGroupList> groups_ __guarded_by(lock_);
};

} // namespace vfio
