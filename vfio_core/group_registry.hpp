// SPDX-License-Identifier: GPL-2.0
//
// GroupRegistry: the groups that have registered devices. Each IOMMU group has at
// most one Group. The first device that joins makes the Group and its file; the
// last one that leaves takes the file away, before another Group can be made for
// the same IOMMU group.
//
// Locks: lock_ is taken before all other locks of vfio.ko.
#pragma once

#include "group.hpp"

namespace vfio {

// A device's membership in a group. The group has its file and its IOMMU group as long
// as it has members.
void leave_group(Group *group);
using GroupMembership = Owned<Group *, leave_group>;

class GroupRegistry : Immovable {
public:
	GroupRegistry() = default;

	~GroupRegistry()
	{
		WARN_ONCE_IF(!groups_.empty(), "groups are left at the end");
	}

	// Lets a device join the Group of its IOMMU group. If the device has no IOMMU
	// group and the administrator allows no-IOMMU mode, it joins a no-IOMMU group
	// of its own. Errors: EINVAL without either, or if the device's DMA cannot be
	// kept coherent with caches; ENOMEM, ENOSPC, those of making the file.
	Result<GroupMembership> join(device *dev);

	// Lets a device join an emulated group of its own. Errors: ENOMEM, ENOSPC,
	// those of making the groups and the file.
	Result<GroupMembership> join_emulated(device *dev);

	// Returns the registered device for this device of the bus, or an empty reference.
	DeviceRef find_device(const device *dev);

private:
	friend void leave_group(Group *group);

	// Makes an IOMMU group with this name for the device alone, and lets the device
	// join the Group of it.
	Result<GroupMembership> join_own(device *dev, const char *name, shim_group_type type);
	// Both change Group::members(). put() ends a group that has none left.
	Result<Group *> get_or_create(const IommuGroupRef &iommu_group, shim_group_type type,
				      device *own_dev);
	void put(Group &group);

	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	List<Group, InGroupRegistry> groups_ __guarded_by(lock_);
};

} // namespace vfio
