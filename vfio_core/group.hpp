// SPDX-License-Identifier: GPL-2.0
//
// Group: an IOMMU group of whose devices at least one is registered, and the
// file /dev/vfio/GROUP. Its memory belongs to the file's node, which open
// files keep; it serves as long as it has an IOMMU group, that is, until its
// last device unregisters.
//
// Invariants, whenever lock_ is free:
// - with a container it has an IOMMU group, is on the container's list, and
//   has users_ == 1 + the files of its devices; without, users_ is 0;
// - each of those files holds a reference to file_, the group's own file.
//
// Locks: the group list's lock, a device set's lock, then lock_, then the
// container's. devices_lock_ is innermost; a driver's match is called with it.
// kvm_lock_ is innermost too, and guards what KVM sets and reads. KVM calls with
// kvm->lock held, which drivers take in their open_device and close_device, where
// lock_ is held: so KVM's calls must not take lock_. container_ and iommu_group_
// change under both lock_ and kvm_lock_, and may be read under either.
#pragma once

#include "container.hpp"
#include "kernel_refs.hpp"
#include "shim/group_node.h"
#include "vocab/units.hpp"

// The C side's handle for a Group.
struct vfio_group {};

namespace vfio {

class Device;

// A use of a registered device, which unregistering waits for.
void put_use(Device *device);
using DeviceRef = Owned<Device *, put_use>;

struct InGroup;
struct InGroupList;

class Group : public vfio_group, public ListNode<InGroupList>, public ListNode<InContainer> {
public:
	// Makes a group and its node, which owns the group: the last
	// shim_group_node_put() destroys it. own_dev is the device for which the
	// IOMMU group was made, or nullptr if the bus made it.
	// Errors: ENOMEM, ENOSPC.
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

	device *own_dev() const
	{
		return own_dev_;
	}

	// How many devices are registered, and being so. Falls to zero only
	// under the group list's lock.
	RefCount &members()
	{
		return members_;
	}

	// The file.

	// Errors: ENODEV if the group has no devices any more, EPERM, EBUSY.
	Result<void> open(file *file);
	void close();
	Result<long> ioctl(u32 cmd, UserVa arg);

	// Its devices.

	// Errors: EBUSY if there is one for the same device of the bus.
	Result<void> add_device(Device &device);
	void remove_device(Device &device);

	// Counts a file of a device. Errors: EINVAL without a container that has
	// an IOMMU, EPERM.
	Result<void> add_user();
	void drop_user();

	// No device is left: leaves the container. Gives the IOMMU group up.
	IommuGroupRef retire();

	Mutex &lock() __returns_lock(lock_)
	{
		return lock_;
	}

	// NULL if retired. May be asked without the lock by those who keep it
	// from being retired: the container, a device, the group list.
	iommu_group *kernel_group() const __no_lock_analysis
	{
		return iommu_group_.get();
	}

	RefPtr<ContainerIommu> iommu_locked() __must_hold(lock_);

	// The virtual machine that the group's devices serve; empty if there is
	// none, or if it is being destroyed.
	KvmRef share_kvm();

	// Called by KVM, which may hold kvm->lock: none of them takes lock_.

	IommuGroupRef share_iommu_group() __must_not_hold(kvm_lock_);
	void set_kvm(kvm *kvm) __must_not_hold(kvm_lock_);

	// Whether all DMA of the group snoops caches, so that its user needs no
	// instructions that flush them.
	bool enforced_coherent() __must_not_hold(kvm_lock_);

	// The DMA of a group behind an IOMMU; nothing to do for others.
	Result<void> claim_dma();
	void release_dma();

private:
	// The ioctls.
	Result<void> get_status(UserVa arg);
	Result<void> set_container(UserVa arg);
	Result<void> unset_container();
	Result<long> get_device_fd(UserVa arg);

	void leave_container() __must_hold(lock_);
	// Errors: ENODEV; those of a driver's match.
	Result<DeviceRef> find_device(char *name);

	// Reads container_ under kvm_lock_ alone; its annotation names lock_.
	RefPtr<Container> container_for_kvm() const __must_hold(kvm_lock_) __no_lock_analysis
	{
		return container_;
	}

	static LockClass lock_class_;
	static LockClass kvm_lock_class_;
	static LockClass devices_lock_class_;

	const shim_group_type type_;
	device *const own_dev_;
	shim_group_node *node_ = nullptr;
	RefCount members_;

	Mutex lock_{lock_class_};
	IommuGroupRef iommu_group_ __guarded_by(lock_);
	RefPtr<Container> container_ __guarded_by(lock_);
	u32 users_ __guarded_by(lock_) = 0;
	// Borrowed; open() and close() bound its life.
	file *file_ __guarded_by(lock_) = nullptr;

	Mutex kvm_lock_{kvm_lock_class_};
	// Borrowed: KVM calls set_kvm(nullptr) before it frees the machine.
	kvm *kvm_ __guarded_by(kvm_lock_) = nullptr;

	Mutex devices_lock_{devices_lock_class_};
	List<Device, InGroup> devices_ __guarded_by(devices_lock_);
};

} // namespace vfio
