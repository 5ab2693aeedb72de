// SPDX-License-Identifier: GPL-2.0
#include "group.hpp"

#include "device.hpp"
#include "shim/cred.h"
#include "shim/uapi.h"
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

Result<void> Group::open(file *file)
{
	Guard guard(lock_);

	if (!iommu_group_)
		return Error(ENODEV);
	if (type_ == SHIM_GROUP_NOIOMMU && !shim_capable_sys_rawio())
		return Error(EPERM);
	if (file_)
		return Error(EBUSY);
	file_ = file;
	return {};
}

void Group::close()
{
	Guard guard(lock_);

	// Files of devices hold this one, so none is open.
	if (container_)
		leave_container();
	file_ = nullptr;
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
	default:
		return Error(ENOTTY);
	}
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
		return Error(EINVAL);
	if (!iommu_group_)
		return Error(ENODEV);

	vfio_container *handle = shim_file_container(file.get());

	if (!handle)
		return Error(EINVAL);

	Container &container = *static_cast<Container *>(handle);

	TRY(container.attach(*this));
	{
		const Guard kvm_guard(kvm_lock_);

		container_ = RefPtr<Container>::share(container);
	}
	users_ = 1;
	return {};
}

// Not while files of its devices need the container.
Result<void> Group::unset_container()
{
	Guard guard(lock_);

	if (!container_)
		return Error(EINVAL);
	if (users_ != 1)
		return Error(EBUSY);
	leave_container();
	return {};
}

void Group::leave_container()
{
	WARN_ONCE_IF(users_ != 1, "group left its container with devices open");
	container_->detach(*this);
	users_ = 0;

	RefPtr<Container> leaving;
	const Guard kvm_guard(kvm_lock_);

	leaving = move(container_);
}

Result<long> Group::get_device_fd(UserVa arg)
{
	char *name = nullptr;

	TRY(Result<void>::from_negative(shim_string_from_user(arg.value, kPageSize, &name)));

	const Defer free_name([name] { shim_free(name); });
	DeviceRef device = TRY(find_device(name));
	FdReservation fd = TRY(reserve_fd());
	const int number = fd.get();
	FileRef file = TRY(device->open_file());

	// The file has the reference now, and closing it drops that.
	(void)device.release();
	install(move(fd), move(file));
	return long{number};
}

Result<DeviceRef> Group::find_device(char *name)
{
	Guard guard(devices_lock_);

	for (Device &device : devices_) {
		if (!TRY(device.matches(name)))
			continue;

		DeviceRef ref = device.try_get();

		if (ref)
			return ref;
	}
	return Error(ENODEV);
}

Result<void> Group::add_device(Device &device)
{
	Guard guard(devices_lock_);

	for (const Device &there : devices_)
		if (WARN_ONCE_IF(there.dev() == device.dev(), "device registered twice"))
			return Error(EBUSY);
	devices_.push_front(device);
	return {};
}

void Group::remove_device(Device &device)
{
	Guard guard(devices_lock_);

	devices_.remove(device);
}

Result<void> Group::add_user()
{
	Guard guard(lock_);

	if (!container_ || !container_->iommu())
		return Error(EINVAL);
	if (WARN_ONCE_IF(users_ == 0 || !file_, "group with a container and no user"))
		return Error(EINVAL);
	if (type_ == SHIM_GROUP_NOIOMMU && !shim_capable_sys_rawio())
		return Error(EPERM);
	shim_file_get(file_);
	++users_;
	return {};
}

void Group::drop_user()
{
	Guard guard(lock_);

	if (WARN_ONCE_IF(users_ <= 1, "a device was closed that its group does not count"))
		return;
	--users_;
	// What closing the group's file does takes lock_, but not in here.
	shim_file_put(file_);
}

IommuGroupRef Group::retire()
{
	{
		Guard guard(devices_lock_);

		WARN_ONCE_IF(!devices_.empty(), "group retired with devices");
	}

	Guard guard(lock_);

	if (container_)
		leave_container();

	const Guard kvm_guard(kvm_lock_);

	return move(iommu_group_);
}

IommuGroupRef Group::share_iommu_group() __no_lock_analysis
{
	const Guard guard(kvm_lock_);

	return share(iommu_group_);
}

RefPtr<ContainerIommu> Group::iommu_locked()
{
	return container_ ? container_->iommu() : RefPtr<ContainerIommu>();
}

void Group::set_kvm(kvm *kvm)
{
	const Guard guard(kvm_lock_);

	kvm_ = kvm;
}

// KVM calls set_kvm(nullptr), which takes kvm_lock_, before it frees a machine,
// so that its memory is there while we hold the lock.
KvmRef Group::share_kvm()
{
	const Guard guard(kvm_lock_);

	return try_get_kvm(kvm_);
}

bool Group::enforced_coherent()
{
	RefPtr<Container> container;
	{
		const Guard guard(kvm_lock_);

		container = container_for_kvm();
	}

	// Coherency is known only once there is an IOMMU. Until the user has
	// brought one there is no right to anything.
	if (!container)
		return true;

	const Result<long> answer = container->check_extension(VFIO_DMA_CC_IOMMU);

	return answer.negative_or_value() != 0;
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
