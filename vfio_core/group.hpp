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
// - a group with a container has its own file open, or a file of one of its devices,
//   or is in a set of merged groups of which one has (merged_set.hpp);
// - a group in a set has the set's container.
//
// Locks: the group registry's lock, a device set's lock, then lock_, then the
// container's or a merged set's. Merging two groups takes the lock_ of both, by PairGuard.
// devices_lock_ is innermost; a driver's match is called with it held.
// kvm_lock_ is innermost too, and guards what KVM sets and reads. KVM calls the core
// with kvm->lock held, and drivers take kvm->lock in their open_device and
// close_device, which are called with lock_ held. So functions that KVM calls must not
// take lock_. container_, set_ and iommu_group_ change under both lock_ and kvm_lock_, and
// may be read under either. Ioctls that go to the IOMMU read container_ under kvm_lock_,
// because an attach may wait for them with lock_ held.
#pragma once

#include "container.hpp"
#include "group_refs.hpp"
#include "kernel_refs.hpp"
#include "merged_set.hpp"
#include "vfio_core/shim/group_node.h"
#include "vocab/units.hpp"

// The C side's handle for a Group.
struct vfio_group {};

namespace vfio {

// Tags of lists (vocab/list.hpp): of a group's devices, and of the registry's groups.
struct InGroup;
struct InGroupRegistry;

class Group : public vfio_group,
	      public ListNode<InGroupRegistry>,
	      public ListNode<InContainer>,
	      public ListNode<InMergedSet> {
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

	// Called by those who keep the group: by one of its files, its set, or a device.
	GroupRef share_group();

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
	// open file, or the group is in a set.
	Result<void> open();
	void close();
	Result<long> ioctl(u32 cmd, UserVa arg);

	// The group's devices.

	// Errors: EBUSY if the group has one for the same device of the bus.
	Result<void> add_device(Device &device);
	void remove_device(Device &device);

	// Called when a device's file is opened by the file of the group through. Errors:
	// ENODEV if that group is neither this one nor merged with it; EINVAL if the group has
	// no container with an IOMMU; EPERM for a no-IOMMU group without CAP_SYS_RAWIO.
	Result<GroupUse> use(Group &through);

	// Returns the group's device of this name, or an empty reference. Errors: those of a
	// driver's match.
	Result<DeviceRef> find_own_device(char *name);

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

	// The number of the IOMMU group, or -1 if the group is retired.
	int number() __must_not_hold(kvm_lock_)
	{
		const IommuGroupRef group = share_iommu_group();

		return group ? shim_iommu_group_id(group.get()) : -1;
	}

	// Returns the IOMMU of the group's container, or an empty reference.
	RefPtr<ContainerIommu> iommu_locked() __must_hold(lock_);

	// Returns the virtual machine that the group's devices serve; an empty
	// KvmRef if there is none, or if it is being destroyed. A group that has none
	// serves that of another member of its set.
	KvmRef share_kvm();
	KvmRef share_own_kvm() __must_not_hold(kvm_lock_);

	// KVM calls these and may hold kvm->lock, so they must not take lock_.

	IommuGroupRef share_iommu_group() __must_not_hold(kvm_lock_);
	void set_kvm(kvm *kvm) __must_not_hold(kvm_lock_);
	RefPtr<Container> share_container() const __must_not_hold(kvm_lock_);
	// The set that the group has been merged into, or an empty reference.
	RefPtr<MergedSet> share_set() const __must_not_hold(kvm_lock_);

	// Returns whether all DMA of the group, and of those merged with it, snoops caches,
	// so that its user does not need to flush them.
	bool enforced_coherent() __must_not_hold(kvm_lock_, devices_lock_);
	// The same of the group's own devices. Errors: EOPNOTSUPP if only the container's
	// IOMMU can tell.
	Result<bool> devices_enforce_coherency() __must_not_hold(devices_lock_);

	// Called by the container that the group joins or leaves. They claim and
	// release the DMA of a group behind an IOMMU, and do nothing for other groups.
	Result<void> claim_dma();
	void release_dma();

	// Called by the gate of a device that is open, before it cuts off the group's DMA, and when
	// that is over; meanwhile no other device of the group is open. Errors: EBUSY if one is.
	Result<void> reserve_dma(const Device &device) __must_not_hold(devices_lock_);
	void unreserve_dma() __must_not_hold(devices_lock_);
	// Called for a device that counts as open: whether the group's DMA is another's.
	bool dma_reserved_by_other(const Device &device) __must_not_hold(devices_lock_);

	// Returns the group's device for this device of the bus, or an empty reference.
	DeviceRef find_device_of(const device *dev) __must_not_hold(devices_lock_);

	// Called when debugfs is read, with the lock of the container's groups held: prints the
	// group and its devices, a line each.
	void show(seq_file *seq) __must_not_hold(kvm_lock_, devices_lock_);

	// Called when the set is dissolved that the group was in.
	void leave_dissolved(const MergedSet &set);

private:
	friend void drop_group_use(Group *group);

	// The ioctls.
	Result<void> get_status(UserVa arg);
	Result<void> set_container(UserVa arg);
	Result<void> unset_container();
	Result<long> get_device_fd(UserVa arg);
	Result<void> merge(UserVa arg);
	Result<void> try_merge(UserVa arg);
	Result<void> unmerge(UserVa arg);
	Result<void> try_unmerge(UserVa arg);
	// These and all others are for the group's container (group_merge.cpp).
	Result<long> check_extension(u64 extension);
	Result<void> set_iommu(u64 extension);
	Result<long> iommu_ioctl(u32 cmd, u64 arg);

	// Errors: those of Container::attach().
	Result<void> enter_container(Container &container) __must_hold(lock_);
	// Makes a container without a file, and enters it. Errors: ENOMEM, those of
	// Container::attach().
	Result<void> enter_own_container() __must_hold(lock_);
	void leave_unused_container(Container &made);
	// Called by merge() when nothing speaks against it. Errors: ENOMEM, those of
	// Container::attach().
	Result<void> take_in(Group &mergee) __must_hold(lock_, mergee.lock_);
	// Leaves the container, and the set.
	AbandonedSet leave_container() __must_hold(lock_);
	void enter_set(RefPtr<MergedSet> set) __must_hold(lock_);
	// Called by unmerge() for the group that is taken out. Errors: EINVAL, EBUSY.
	Result<void> leave_set(const MergedSet &set);
	// Whether the group is in a set with others.
	bool merged() const __must_hold(lock_);

	// Called when a file of the group or of one of its devices has been closed. If that was
	// the last one, leaves the container, or abandons the set.
	AbandonedSet file_closed() __must_hold(lock_);
	// Errors: ENODEV if there is none of this name; those of a driver's match.
	Result<DeviceRef> find_device(char *name);

	bool container_enforces_coherency() __must_not_hold(kvm_lock_);

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
	RefPtr<MergedSet> set_ __guarded_by(lock_);
	u32 users_ __guarded_by(lock_) = 0;
	// Whether the group's own file is open.
	bool opened_ __guarded_by(lock_) = false;

	mutable Mutex kvm_lock_{kvm_lock_class_};
	// Borrowed: KVM calls set_kvm(nullptr) before it frees the machine.
	kvm *kvm_ __guarded_by(kvm_lock_) = nullptr;

	Mutex devices_lock_{devices_lock_class_};
	List<Device, InGroup> devices_ __guarded_by(devices_lock_);
	// The device whose gate has cut off the group's DMA, or nullptr.
	const Device *dma_reserved_by_ __guarded_by(devices_lock_) = nullptr;
};

} // namespace vfio
