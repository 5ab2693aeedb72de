// SPDX-License-Identifier: GPL-2.0
#include "group_list.hpp"

#include "shim/module.h"

namespace vfio {

constinit LockClass GroupList::lock_class_ = {"vfio_group_list", {}};

Result<GroupMembership> GroupList::join(device *dev)
{
	const IommuGroupRef iommu_group = IommuGroupRef::of(dev);

	if (!iommu_group) {
		if (!shim_param_noiommu())
			return Error(EINVAL);
		return join_own(dev, "vfio-noiommu", SHIM_GROUP_NOIOMMU);
	}

	// Userspace has no means to flush caches around DMA.
	if (!shim_iommu_can_snoop(dev))
		return Error(EINVAL);

	Group *group = TRY(get_or_create(iommu_group, SHIM_GROUP_IOMMU));

	return GroupMembership(*this, *group, nullptr);
}

Result<GroupMembership> GroupList::join_emulated(device *dev)
{
	// The name is what stock gives them, and stays in sysfs.
	return join_own(dev, "vfio-noiommu", SHIM_GROUP_EMULATED);
}

Result<GroupMembership> GroupList::join_own(device *dev, const char *name, shim_group_type type)
{
	const IommuGroupRef iommu_group = TRY(IommuGroupRef::create(name));

	TRY(Result<void>::from_negative(shim_iommu_group_add(iommu_group.get(), dev)));

	Defer take_out([dev] { shim_iommu_group_remove(dev); });
	Group *group = TRY(get_or_create(iommu_group, type));

	take_out.dismiss();
	return GroupMembership(*this, *group, dev);
}

Result<Group *> GroupList::get_or_create(const IommuGroupRef &iommu_group, shim_group_type type)
{
	Guard guard(lock_);

	for (Group &group : groups_) {
		if (group.kernel_group() == iommu_group.get()) {
			group.members().get();
			return &group;
		}
	}

	Group *group = TRY(Group::create(iommu_group.share(), type));
	const int added = shim_group_node_add(group->node());

	if (added < 0) {
		shim_group_node_put(group->node());
		return Error::from_negative(added);
	}
	groups_.push_front(*group);
	return group;
}

void GroupList::put(Group &group)
{
	IommuGroupRef iommu_group;
	{
		Guard guard(lock_);

		if (!group.members().put())
			return;
		groups_.remove(group);
		shim_group_node_del(group.node());
		iommu_group = group.retire();
	}
	iommu_group.reset();
	shim_group_node_put(group.node());
}

void GroupMembership::reset()
{
	Group *group = exchange(group_, nullptr);

	if (!group)
		return;
	if (own_dev_)
		shim_iommu_group_remove(own_dev_);
	list_->put(*group);
}

} // namespace vfio
