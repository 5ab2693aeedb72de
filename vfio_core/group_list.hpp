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

class GroupMembership;

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

private:
	friend class GroupMembership;

	Result<GroupMembership> join_own(device *dev, const char *name, shim_group_type type);
	Result<Group *> get_or_create(const IommuGroupRef &iommu_group, shim_group_type type);
	void put(Group &group);

	static LockClass lock_class_;

	Mutex lock_{lock_class_};
	List<Group, InGroupList> groups_ __guarded_by(lock_);
};

// That a device belongs to a group, or nothing. It keeps the group alive, and
// if the group was made for the device, the device in it.
class GroupMembership {
public:
	GroupMembership() = default;
	GroupMembership(GroupList &list, Group &group, device *own_dev)
		: list_(&list), group_(&group), own_dev_(own_dev)
	{
	}

	GroupMembership(GroupMembership &&other)
		: list_(other.list_), group_(exchange(other.group_, nullptr)),
		  own_dev_(other.own_dev_)
	{
	}

	GroupMembership &operator=(GroupMembership &&other)
	{
		if (this != &other) {
			reset();
			list_ = other.list_;
			group_ = exchange(other.group_, nullptr);
			own_dev_ = other.own_dev_;
		}
		return *this;
	}

	~GroupMembership()
	{
		reset();
	}

	void reset();

	Group *get() const
	{
		return group_;
	}

	Group *operator->() const
	{
		return group_;
	}

private:
	GroupList *list_ = nullptr;
	Group *group_ = nullptr;
	// The device that we put into an IOMMU group of our making.
	device *own_dev_ = nullptr;
};

} // namespace vfio
