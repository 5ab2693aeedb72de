// SPDX-License-Identifier: GPL-2.0
//
// Groups that are merged (include/uapi/vfio_group_merge.h), and what a program does with a
// group's file in place of a container's: VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU and the ioctls
// of the IOMMU.
//
// Merging takes the locks of both groups, in one order for all (PairGuard), because two groups
// may be told at the same time to take each other in.
#include "group.hpp"
#include "shim/uapi.h"
#include "uapi/vfio_group_merge.h"
#include "vfio_core/shim/file.h"
#include "vfio_core/shim/trace.h"
#include "vocab/uaccess.hpp"

namespace vfio {

// Errors: ENOMEM.
static Result<RefPtr<Container>> make_container()
{
	return RefPtr<Container>::adopt(TRY(make<Container>()).release());
}

// Errors: EFAULT; EINVAL for an argsz that is too small or a flag that is not allowed.
static Result<vfio_group_merge> read_request(UserVa arg, u32 allowed_flags)
{
	vfio_group_merge request = {};

	TRY(copy_in(&request, arg, sizeof(request)));
	if (request.argsz < sizeof(request) || request.flags & ~allowed_flags)
		return Error(EINVAL);
	return request;
}

// Returns the group that a file stands for. Errors: EINVAL if it stands for none.
static Result<Group *> group_of(const FileRef &file)
{
	vfio_group *handle = shim_file_group(file.get());

	if (!handle)
		return Error(EINVAL);
	return &Group::of(handle);
}

// Returns a group that is to be taken out of a set, of which it may be no member. Errors: EBADF;
// EINVAL if there is no such group.
static Result<GroupRef> leaving_group(MergedSet &set, const vfio_group_merge &request)
{
	if (request.flags & VFIO_GROUP_UNMERGE_NUMBER) {
		GroupRef member = set.find_member(request.group);

		if (!member)
			return Error(EINVAL);
		return member;
	}

	const FileRef file = TRY(file_of_fd(request.group));

	return TRY(group_of(file))->share_group();
}

// Takes another group in. Errors: as the UAPI lists them; ENOMEM.
Result<void> Group::merge(UserVa arg)
{
	const Result<void> merged = try_merge(arg);

	shim_trace_merge(number(), merged.negative());
	return merged;
}

Result<void> Group::try_merge(UserVa arg)
{
	const vfio_group_merge request = TRY(read_request(arg, 0));
	// Keeps the other group open until both are merged.
	const FileRef file = TRY(file_of_fd(request.group));
	Group &mergee = *TRY(group_of(file));

	if (&mergee == this)
		return Error(EINVAL);

	const PairGuard guard(lock_, mergee.lock_);

	if (!iommu_group_ || !mergee.iommu_group_)
		return Error(ENODEV);
	if (mergee.container_)
		return Error(EBUSY);
	if (container_ && !container_->last_mapped_by_caller())
		return Error(EPERM);
	return take_in(mergee);
}

Result<void> Group::take_in(Group &mergee)
{
	RefPtr<MergedSet> set = set_;

	if (!set)
		set = RefPtr<MergedSet>::adopt(TRY(make<MergedSet>()).release());

	const bool had_container = static_cast<bool>(container_);

	if (!had_container)
		TRY(enter_own_container());

	const Result<void> entered = mergee.enter_container(*container_);

	if (!entered.ok()) {
		if (!had_container)
			leave_container();
		return entered;
	}
	if (!set_)
		enter_set(set);
	mergee.enter_set(move(set));
	return {};
}

void Group::enter_set(RefPtr<MergedSet> set)
{
	set->add(*this, (opened_ ? 1 : 0) + users_ - 1);

	const Guard kvm_guard(kvm_lock_);

	set_ = move(set);
}

// Takes a member out of the group's set. Errors: EBADF; EINVAL if there is no such member;
// EBUSY if one of its devices is open.
Result<void> Group::unmerge(UserVa arg)
{
	const Result<void> unmerged = try_unmerge(arg);

	shim_trace_unmerge(number(), unmerged.negative());
	return unmerged;
}

Result<void> Group::try_unmerge(UserVa arg)
{
	const vfio_group_merge request = TRY(read_request(arg, VFIO_GROUP_UNMERGE_NUMBER));
	const RefPtr<MergedSet> set = share_set();

	if (!set)
		return Error(EINVAL);

	const GroupRef leaving = TRY(leaving_group(*set, request));

	return leaving->leave_set(*set);
}

Result<void> Group::leave_set(const MergedSet &set)
{
	AbandonedSet abandoned;
	const Guard guard(lock_);

	if (set_.get() != &set || !merged())
		return Error(EINVAL);
	if (users_ != 1)
		return Error(EBUSY);
	abandoned = leave_container();
	return {};
}

void Group::leave_dissolved(const MergedSet &set)
{
	AbandonedSet none;
	const Guard guard(lock_);

	// The group may have been retired meanwhile.
	if (set_.get() == &set)
		none = leave_container();
}

bool Group::merged() const
{
	return set_ && set_->merged();
}

// Without a container, answers as a container without groups does.
Result<long> Group::check_extension(u64 extension)
{
	RefPtr<Container> container = share_container();

	if (!container)
		container = TRY(make_container());
	return container->check_extension(extension);
}

// A group without a container gets one, which it loses again after an error. Errors: ENODEV if
// the last device of the group has gone; ENOMEM; those of Container::attach() and set_iommu().
Result<void> Group::set_iommu(u64 extension)
{
	RefPtr<Container> made;
	RefPtr<Container> container;
	{
		const Guard guard(lock_);

		if (!iommu_group_)
			return Error(ENODEV);
		if (!container_) {
			TRY(enter_own_container());
			made = container_;
		}
		container = container_;
	}

	// Without the lock, because modules may be loaded.
	const Result<void> done = container->set_iommu(extension);

	if (!done.ok() && made)
		leave_unused_container(*made);
	return done;
}

// Other threads may have used the container while no lock was held.
void Group::leave_unused_container(Container &made)
{
	AbandonedSet none;
	const Guard guard(lock_);

	if (container_.get() == &made && users_ == 1 && !merged() && !made.iommu())
		none = leave_container();
}

Result<long> Group::iommu_ioctl(u32 cmd, u64 arg)
{
	const RefPtr<Container> container = share_container();

	if (!container)
		return Error(ENOTTY);
	return result_of(container->iommu_ioctl(cmd, arg));
}

Result<void> Group::enter_own_container()
{
	return enter_container(*TRY(make_container()));
}

} // namespace vfio
