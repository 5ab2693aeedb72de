// SPDX-License-Identifier: GPL-2.0
//
// GroupRegistry: the groups that have registered devices. Each IOMMU group has at
// most one Group. The first device that joins makes the Group and its file; the
// last one that leaves takes the file away, before another Group can be made for
// the same IOMMU group.
//
// Locks: lock_ is outermost.
#pragma once

#include "group.hpp"

namespace vfio {

// Takes a device out of its group. The last device that leaves ends the group.
void leave_group(Group *group);

// Stands for a device's place in a group. The group exists as long as this is held.
using GroupMembership = Owned<Group *, leave_group>;

class GroupRegistry : Immovable {
public:
	GroupRegistry() = default;

	~GroupRegistry()
	{
		WARN_ONCE_IF(!groups_.empty(), "groups are left at the end");
	}

	// A device joins the group of its IOMMU group. If it has none and the
	// administrator allows no-IOMMU mode, it joins a no-IOMMU group of its own.
	// Errors: EINVAL without a group or if its DMA cannot be kept coherent
	// with caches; ENOMEM, ENOSPC, those of making the file.
	Result<GroupMembership> join(device *dev);

	// A device joins an emulated group of its own. Errors: as join().
	Result<GroupMembership> join_emulated(device *dev);

private:
	friend void leave_group(Group *group);

	Result<GroupMembership> join_own(device *dev, const char *name, shim_group_type type);
	Result<Group *> get_or_create(const IommuGroupRef &iommu_group, shim_group_type type,
				      device *own_dev);
	void put(Group &group);

	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	List<Group, InGroupRegistry> groups_ __guarded_by(lock_);
};

} // namespace vfio
