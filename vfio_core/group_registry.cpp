// SPDX-License-Identifier: GPL-2.0
#include "group_registry.hpp"

#include "registries.hpp"
#include "vfio_core/shim/module.h"

namespace vfio {

constinit LockClass GroupRegistry::lock_class_ = {"vfio_group_list", {}};

Result<GroupMembership> GroupRegistry::join(device *dev)
{
	const IommuGroupRef iommu_group(shim_iommu_group_of(dev));

	if (!iommu_group) {
		if (!shim_param_noiommu())
			return Error(EINVAL);
		return join_own(dev, "vfio-noiommu", SHIM_GROUP_NOIOMMU);
	}

	// Userspace cannot flush caches around DMA.
	if (!shim_iommu_can_snoop(dev))
		return Error(EINVAL);
	return GroupMembership(TRY(get_or_create(iommu_group, SHIM_GROUP_IOMMU, nullptr)));
}

Result<GroupMembership> GroupRegistry::join_emulated(device *dev)
{
	// The kernel's own vfio.ko gives emulated groups this name, and sysfs shows
	// it.
	return join_own(dev, "vfio-noiommu", SHIM_GROUP_EMULATED);
}

Result<GroupMembership> GroupRegistry::join_own(device *dev, const char *name, shim_group_type type)
{
	const IommuGroupRef iommu_group = TRY(create_iommu_group(name));

	TRY(Result<void>::from_negative(shim_iommu_group_add(iommu_group.get(), dev)));

	Defer take_out([dev] { shim_iommu_group_remove(dev); });
	GroupMembership joined(TRY(get_or_create(iommu_group, type, dev)));

	take_out.dismiss();
	return joined;
}

Result<Group *> GroupRegistry::get_or_create(const IommuGroupRef &iommu_group, shim_group_type type,
					     device *own_dev)
{
	Guard guard(lock_);

	for (Group &group : groups_) {
		if (group.kernel_group() == iommu_group.get()) {
			group.members().get();
			return &group;
		}
	}

	Group *group = TRY(Group::create(share(iommu_group), type, own_dev));
	const int added = shim_group_node_add(group->node());

	if (added < 0) {
		shim_group_node_put(group->node());
		return Error::from_negative(added);
	}
	groups_.push_front(*group);
	return group;
}

DeviceRef GroupRegistry::find_device(const device *dev)
{
	Guard guard(lock_);

	for (Group &group : groups_) {
		DeviceRef found = group.find_device_of(dev);

		if (found)
			return found;
	}
	return DeviceRef();
}

void leave_group(Group *group)
{
	if (group->own_dev())
		shim_iommu_group_remove(group->own_dev());
	registries().groups.put(*group);
}

void GroupRegistry::put(Group &group)
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

} // namespace vfio
