// SPDX-License-Identifier: GPL-2.0
#include "merged_set.hpp"

#include "device.hpp"
#include "group.hpp"

namespace vfio {

constinit LockClass MergedSet::lock_class_ = {"vfio_merged_set", {}};

void MergedSet::add(Group &group, u32 holds)
{
	const Guard guard(lock_);

	members_.push_back(group);
	holds_ += holds;
}

AbandonedSet MergedSet::remove(Group &group, u32 holds)
{
	const Guard guard(lock_);

	members_.remove(group);
	// A member without holds leaves a set that others hold, or one that is being dissolved.
	if (holds == 0)
		return {};
	holds_ -= holds;
	return abandoned_locked();
}

bool MergedSet::try_hold()
{
	const Guard guard(lock_);

	if (holds_ == 0)
		return false;
	++holds_;
	return true;
}

AbandonedSet MergedSet::drop_hold()
{
	const Guard guard(lock_);

	if (WARN_ONCE_IF(holds_ == 0, "set of groups with more files closed than opened"))
		return {};
	--holds_;
	return abandoned_locked();
}

AbandonedSet MergedSet::abandoned_locked()
{
	return AbandonedSet(holds_ ? nullptr : RefPtr<MergedSet>::share(*this).release());
}

void dissolve_set(MergedSet *set)
{
	const RefPtr<MergedSet> dissolved = RefPtr<MergedSet>::adopt(set);

	while (const GroupRef member = dissolved->any_member())
		member->leave_dissolved(*dissolved);
}

bool MergedSet::merged()
{
	const Guard guard(lock_);

	return !members_.empty() && !members_.singular();
}

// A group leaves the list before it is retired, and its node lives at least until then.
GroupRef MergedSet::find_member(int number)
{
	const Guard guard(lock_);

	for (Group &member : members_)
		if (shim_iommu_group_id(member.kernel_group()) == number)
			return member.share_group();
	return {};
}

GroupRef MergedSet::any_member()
{
	const Guard guard(lock_);
	Group *member = members_.front();

	return member ? member->share_group() : GroupRef();
}

Result<DeviceRef> MergedSet::find_device(char *name)
{
	const Guard guard(lock_);

	for (Group &member : members_) {
		DeviceRef found = TRY(member.find_own_device(name));

		if (found)
			return found;
	}
	return DeviceRef();
}

bool MergedSet::has_device(const Device &device)
{
	const Guard guard(lock_);

	for (const Group &member : members_)
		if (device.in_group(&member))
			return true;
	return false;
}

Result<bool> MergedSet::devices_enforce_coherency()
{
	const Guard guard(lock_);

	for (Group &member : members_)
		if (!TRY(member.devices_enforce_coherency()))
			return false;
	return true;
}

KvmRef MergedSet::share_kvm()
{
	const Guard guard(lock_);

	for (Group &member : members_) {
		KvmRef kvm = member.share_own_kvm();

		if (kvm)
			return kvm;
	}
	return {};
}

} // namespace vfio
