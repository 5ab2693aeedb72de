// SPDX-License-Identifier: GPL-2.0
//
// Group: an IOMMU group of which at least one device is registered, and the file
// /dev/vfio/GROUP. The file's node (shim_group_node) owns the Group, and open files
// hold references to the node. When its last device is unregistered, the Group loses
// its IOMMU group and cannot be used any more.
//
// Invariants, whenever lock_ is free:
// - a group with a container has an IOMMU group, is on the container's list, and
//   has users_ == 1 + the number of its devices' files; otherwise users_ is 0;
// - a group with a container has its own file open, or a file of one of its devices.
//
// Locks: the group registry's lock, a device set's lock, then lock_, then the
// container's. devices_lock_ is innermost; a driver's match is called with it held.
// kvm_lock_ is innermost too, and guards what KVM sets and reads. KVM calls the core
// with kvm->lock held, and drivers take kvm->lock in their open_device and
// close_device, which are called with lock_ held. So functions that KVM calls must not
// take lock_. container_ and iommu_group_ change under both lock_ and kvm_lock_, and
// may be read under either.
#pragma once

#include "container.hpp"
#include "kernel_refs.hpp"
#include "vfio_core/shim/group_node.h"
#include "vocab/units.hpp"

// The C side's handle for a Group.
struct vfio_group {};

namespace vfio {

class Device;

// A use of a registered device. Unregistering the device waits until all uses are
// dropped.
void drop_device_use(Device *device);
using DeviceRef = Owned<Device *, drop_device_use>;

// A use of a group by a device's file. The group keeps its container as long as this is
// held, even if its own file is closed, and its own file cannot be opened meanwhile.
void drop_group_use(Group *group);
using GroupUse = Owned<Group *, drop_group_use>;

// Tags of lists (vocab/list.hpp): of a group's devices, and of the registry's groups.
struct InGroup;
struct InGroupRegistry;

class Group : public vfio_group, public ListNode<InGroupRegistry>, public ListNode<InContainer> {
public:
	// Makes a group and its node. The node owns the group: the last
	// shim_group_node_put() destroys it. Errors: ENOMEM, ENOSPC.
	static Result<Group *> create(IommuGroupRef iommu_group, shim_group_type type,
				      device *own_dev);

	Group(IommuGroupRef iommu_group, shim_group_type type, device *own_dev)
		: type_(type), own_dev_(own_dev), iommu_group_(move(iommu_group))
	{
	}

	static Group &of(vfio_group *handle)
	{
		return *static_cast<Group *>(handle);
	}

	shim_group_node *node() const
	{
		return node_;
	}

	shim_group_type type() const
	{
		return type_;
	}

	// The device for which the IOMMU group was made, or nullptr.
	device *own_dev() const
	{
		return own_dev_;
	}

	// Counts the devices that are registered or are being registered. Changes
	// under the group registry's lock.
	RefCount &members()
	{
		return members_;
	}

	// The group's file.

	// Errors: ENODEV if the group has no devices any more; EPERM for a no-IOMMU
	// group without CAP_SYS_RAWIO; EBUSY if the group or one of its devices has an
	// open file.
	Result<void> open();
	void close();
	Result<long> ioctl(u32 cmd, UserVa arg);

	// The group's devices.

	// Errors: EBUSY if the group has one for the same device of the bus.
	Result<void> add_device(Device &device);
	void remove_device(Device &device);

	// Called when a device's file is opened. Errors: EINVAL if the group has no
	// container with an IOMMU; EPERM for a no-IOMMU group without CAP_SYS_RAWIO.
	Result<GroupUse> use();

	// Called by the registry when no device is left. The group leaves its
	// container. Returns the IOMMU group, which the Group loses.
	IommuGroupRef retire();

	Mutex &lock() __returns_lock(lock_)
	{
		return lock_;
	}

	// Returns nullptr if the group is retired. May be called without the lock
	// by those who keep it from being retired: the container, a device, the
	// registry.
	iommu_group *kernel_group() const __no_lock_analysis
	{
		return iommu_group_.get();
	}

	// Returns the IOMMU of the group's container, or an empty reference.
	RefPtr<ContainerIommu> iommu_locked() __must_hold(lock_);

	// Returns the virtual machine that the group's devices serve; an empty
	// KvmRef if there is none, or if it is being destroyed.
	KvmRef share_kvm();

	// KVM calls these and may hold kvm->lock, so they must not take lock_.

	IommuGroupRef share_iommu_group() __must_not_hold(kvm_lock_);
	void set_kvm(kvm *kvm) __must_not_hold(kvm_lock_);

	// Returns whether all DMA of the group snoops caches, so that its user does
	// not need to flush them.
	bool enforced_coherent() __must_not_hold(kvm_lock_);

	// Called by the container that the group joins or leaves. They claim and
	// release the DMA of a group behind an IOMMU, and do nothing for other groups.
	Result<void> claim_dma();
	void release_dma();

private:
	friend void drop_group_use(Group *group);

	// The ioctls.
	Result<void> get_status(UserVa arg);
	Result<void> set_container(UserVa arg);
	Result<void> unset_container();
	Result<long> get_device_fd(UserVa arg);

	void leave_container() __must_hold(lock_);
	// Called when a file of the group or of one of its devices has been closed.
	// Leaves the container if that was the last one.
	void leave_if_unused() __must_hold(lock_);
	// Errors: ENODEV if there is none of this name; those of a driver's match.
	Result<DeviceRef> find_device(char *name);

	// Reads container_ under kvm_lock_. No analysis, because the annotation of
	// container_ can name only one of its two locks.
	RefPtr<Container> container_for_kvm() const __must_hold(kvm_lock_) __no_lock_analysis
	{
		return container_;
	}

	static LockClass lock_class_;
	static LockClass kvm_lock_class_;
	static LockClass devices_lock_class_;

	const shim_group_type type_;
	// The device for which the IOMMU group was made; nullptr if the bus made it.
	device *const own_dev_;
	shim_group_node *node_ = nullptr;
	RefCount members_;

	Mutex lock_{lock_class_};
	IommuGroupRef iommu_group_ __guarded_by(lock_);
	RefPtr<Container> container_ __guarded_by(lock_);
	u32 users_ __guarded_by(lock_) = 0;
	// Whether the group's own file is open.
	bool opened_ __guarded_by(lock_) = false;

	Mutex kvm_lock_{kvm_lock_class_};
	// Borrowed: KVM calls set_kvm(nullptr) before it frees the machine.
	kvm *kvm_ __guarded_by(kvm_lock_) = nullptr;

	Mutex devices_lock_{devices_lock_class_};
	List<Device, InGroup> devices_ __guarded_by(devices_lock_);
};

} // namespace vfio
