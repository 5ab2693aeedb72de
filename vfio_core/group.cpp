// SPDX-License-Identifier: GPL-2.0
#include "group.hpp"

#include "device_file.hpp"
#include "entry.h"
#include "shim/cred.h"
#include "shim/uapi.h"
#include "uapi/vfio_group_merge.h"
#include "vocab/uaccess.hpp"

namespace vfio {

constinit LockClass Group::lock_class_ = {"vfio_group", {}};
constinit LockClass Group::kvm_lock_class_ = {"vfio_group_kvm", {}};
constinit LockClass Group::devices_lock_class_ = {"vfio_group_devices", {}};

Result<Group *> Group::create(IommuGroupRef iommu_group, shim_group_type type, device *own_dev)
{
	const char *prefix = type == SHIM_GROUP_NOIOMMU ? "noiommu-" : "";
	const int number = shim_iommu_group_id(iommu_group.get());
	UniquePtr<Group> group = TRY(make<Group>(move(iommu_group), type, own_dev));

	TRY(Result<void>::from_negative(
		shim_group_node_create(group.get(), prefix, number, &group->node_)));
	return group.release();
}

// Called when the last reference to the group's node has been dropped.
CORE_ENTRY void vfio_core_group_destroy(vfio_group *group)
{
	destroy(&Group::of(group));
}

GroupRef Group::share_group()
{
	shim_group_node_get(node_);
	return GroupRef(this);
}

void put_group(Group *group)
{
	shim_group_node_put(group->node());
}

Result<void> Group::open()
{
	Guard guard(lock_);

	if (!iommu_group_)
		return Error(ENODEV);
	if (type_ == SHIM_GROUP_NOIOMMU && !shim_capable_sys_rawio())
		return Error(EPERM);
	if (opened_ || container_)
		return Error(EBUSY);
	opened_ = true;
	return {};
}

CORE_ENTRY int vfio_core_group_open(vfio_group *group)
{
	return Group::of(group).open().negative();
}

void Group::close()
{
	AbandonedSet abandoned;
	Guard guard(lock_);

	opened_ = false;
	abandoned = file_closed();
}

CORE_ENTRY void vfio_core_group_close(vfio_group *group)
{
	Group::of(group).close();
}

Result<long> Group::ioctl(u32 cmd, UserVa arg)
{
	switch (cmd) {
	case VFIO_GROUP_GET_STATUS:
		TRY(get_status(arg));
		return 0L;
	case VFIO_GROUP_SET_CONTAINER:
		TRY(set_container(arg));
		return 0L;
	case VFIO_GROUP_UNSET_CONTAINER:
		TRY(unset_container());
		return 0L;
	case VFIO_GROUP_GET_DEVICE_FD:
		return get_device_fd(arg);
	case VFIO_GROUP_MERGE:
		TRY(merge(arg));
		return 0L;
	case VFIO_GROUP_UNMERGE:
		TRY(unmerge(arg));
		return 0L;
	case VFIO_CHECK_EXTENSION:
		return check_extension(arg.value);
	case VFIO_SET_IOMMU:
		TRY(set_iommu(arg.value));
		return 0L;
	default:
		return iommu_ioctl(cmd, arg.value);
	}
}

CORE_ENTRY long vfio_core_group_ioctl(vfio_group *group, u32 cmd, u64 arg)
{
	return Group::of(group).ioctl(cmd, {arg}).negative_or_value();
}

Result<void> Group::get_status(UserVa arg)
{
	constexpr size_t kMinSize = OFFSET_END(vfio_group_status, flags);
	vfio_group_status status = {};

	TRY(copy_in(&status, arg, kMinSize));
	if (status.argsz < kMinSize)
		return Error(EINVAL);
	status.flags = 0;
	{
		Guard guard(lock_);

		if (!iommu_group_)
			return Error(ENODEV);
		if (container_)
			status.flags = VFIO_GROUP_FLAGS_CONTAINER_SET | VFIO_GROUP_FLAGS_VIABLE;
		else if (!shim_iommu_group_dma_claimed(iommu_group_.get()))
			status.flags = VFIO_GROUP_FLAGS_VIABLE;
		if (merged())
			status.flags |= VFIO_GROUP_FLAGS_MERGED;
	}
	return copy_out(arg, &status, kMinSize);
}

Result<void> Group::set_container(UserVa arg)
{
	int fd = 0;

	TRY(copy_in(&fd, arg, sizeof(fd)));

	const FileRef file = TRY(file_of_fd(fd));
	Guard guard(lock_);

	if (container_)
		return Error(merged() ? EBUSY : EINVAL);
	if (!iommu_group_)
		return Error(ENODEV);

	vfio_container *handle = shim_file_container(file.get());

	if (!handle)
		return Error(EBADFD);

	return enter_container(Container::of(handle));
}

// Errors: EINVAL without a container; EBUSY while files of the group's devices are open, and
// for a group in a set with others.
Result<void> Group::unset_container()
{
	AbandonedSet abandoned;
	Guard guard(lock_);

	if (!container_)
		return Error(EINVAL);
	if (users_ != 1 || merged())
		return Error(EBUSY);
	abandoned = leave_container();
	return {};
}

Result<void> Group::enter_container(Container &container)
{
	TRY(container.attach(*this));
	users_ = 1;

	const Guard kvm_guard(kvm_lock_);

	container_ = RefPtr<Container>::share(container);
	return {};
}

AbandonedSet Group::leave_container()
{
	AbandonedSet abandoned;

	WARN_ONCE_IF(users_ != 1, "group left its container with devices open");
	container_->detach(*this);
	if (set_)
		abandoned = set_->remove(*this, opened_ ? 1 : 0);
	users_ = 0;

	// Dropped after kvm_lock_ is released, because no lock is taken under it.
	RefPtr<Container> leaving;
	RefPtr<MergedSet> left;
	const Guard kvm_guard(kvm_lock_);

	leaving = move(container_);
	left = move(set_);
	return abandoned;
}

AbandonedSet Group::file_closed()
{
	if (set_)
		return set_->drop_hold();
	if (container_ && !opened_ && users_ == 1)
		return leave_container();
	return {};
}

Result<long> Group::get_device_fd(UserVa arg)
{
	char *name = nullptr;

	TRY(Result<void>::from_negative(shim_string_from_user(arg.value, kPageSize, &name)));

	const Defer free_name([name] { shim_free(name); });
	DeviceRef device = TRY(find_device(name));
	FdReservation fd = TRY(reserve_fd());
	const int number = fd.get();

	install(move(fd), TRY(DeviceFile::open(move(device), *this)));
	return long{number};
}

Result<DeviceRef> Group::find_device(char *name)
{
	DeviceRef found = TRY(find_own_device(name));
	const RefPtr<MergedSet> set = share_set();

	if (!found && set)
		found = TRY(set->find_device(name));
	if (!found)
		return Error(ENODEV);
	return found;
}

Result<DeviceRef> Group::find_own_device(char *name)
{
	Guard guard(devices_lock_);

	for (Device &device : devices_) {
		if (!TRY(device.matches(name)))
			continue;

		DeviceRef ref = device.try_get();

		if (ref)
			return ref;
	}
	return DeviceRef();
}

DeviceRef Group::find_device_of(const device *dev)
{
	Guard guard(devices_lock_);

	for (Device &device : devices_)
		if (device.dev() == dev)
			return device.try_get();
	return DeviceRef();
}

Result<void> Group::reserve_dma(const Device &device)
{
	Guard guard(devices_lock_);

	for (const Device &other : devices_)
		if (&other != &device && other.open_count())
			return Error(EBUSY);
	dma_reserved_by_ = &device;
	return {};
}

void Group::unreserve_dma()
{
	Guard guard(devices_lock_);

	dma_reserved_by_ = nullptr;
}

bool Group::dma_reserved_by_other(const Device &device)
{
	Guard guard(devices_lock_);

	return dma_reserved_by_ && dma_reserved_by_ != &device;
}

Result<void> Group::add_device(Device &device)
{
	Guard guard(devices_lock_);

	for (const Device &other : devices_)
		if (WARN_ONCE_IF(other.dev() == device.dev(), "device registered twice"))
			return Error(EBUSY);
	devices_.push_front(device);
	return {};
}

void Group::remove_device(Device &device)
{
	Guard guard(devices_lock_);

	devices_.remove(device);
}

Result<GroupUse> Group::use(Group &through)
{
	const RefPtr<MergedSet> set = through.share_set();
	Guard guard(lock_);

	if (&through != this && (!set || set.get() != set_.get()))
		return Error(ENODEV);
	if (!container_ || !container_->iommu())
		return Error(EINVAL);
	if (type_ == SHIM_GROUP_NOIOMMU && !shim_capable_sys_rawio())
		return Error(EPERM);
	if (set_ && !set_->try_hold())
		return Error(EINVAL);
	++users_;
	return GroupUse(this);
}

void drop_group_use(Group *group)
{
	AbandonedSet abandoned;
	Guard guard(group->lock_);

	if (WARN_ONCE_IF(group->users_ <= 1, "a device was closed that its group does not count"))
		return;
	--group->users_;
	abandoned = group->file_closed();
}

IommuGroupRef Group::retire()
{
	{
		Guard guard(devices_lock_);

		WARN_ONCE_IF(!devices_.empty(), "group retired with devices");
	}

	AbandonedSet abandoned;
	Guard guard(lock_);

	if (container_)
		abandoned = leave_container();

	const Guard kvm_guard(kvm_lock_);

	return move(iommu_group_);
}

RefPtr<ContainerIommu> Group::iommu_locked()
{
	return container_ ? container_->iommu() : RefPtr<ContainerIommu>();
}

Result<void> Group::claim_dma()
{
	if (type_ != SHIM_GROUP_IOMMU)
		return {};
	return Result<void>::from_negative(shim_iommu_group_claim_dma(kernel_group(), this));
}

void Group::release_dma()
{
	if (type_ == SHIM_GROUP_IOMMU)
		shim_iommu_group_release_dma(kernel_group());
}

} // namespace vfio
