// SPDX-License-Identifier: GPL-2.0
//
// Container: one address space for DMA. Groups join a container, and an IOMMU driver
// keeps its mappings. A container lives as long as its file or one of its groups
// holds a reference.
//
// Invariants, whenever the locks are free:
// - a container without groups has no IOMMU: it loses its IOMMU when the last group
//   leaves;
// - either all of its groups are no-IOMMU groups (noiommu_), or none is;
// - if it has an IOMMU, all of its groups are attached to that IOMMU.
//
// Locks: a group's lock, then groups_lock_, then the driver registry's lock or
// iommu_lock_. The container gets and loses its IOMMU under both groups_lock_ and
// iommu_lock_. Ioctls that go to the IOMMU driver take neither, because an attach may
// wait, with groups_lock_ held, for another ioctl (VFIO_DMA_MAP_FLAG_VADDR).
// Instead the IOMMU's gate counts these ioctls. When the last group leaves, the gate
// is closed: further ioctls do not find it, and the IOMMU is dropped when no ioctl is
// inside any more. The gate is then used for the container's next IOMMU. If the
// container gets that IOMMU while an ioctl is still inside the old one, it uses
// another gate.
#pragma once

#include "call_record.hpp"
#include "ioctl_gate.hpp"
#include "kernel_refs.hpp"
#include "vfio_core/shim/task.h"
#include "vocab/atomic.hpp"

// The C side's handle for a Container.
struct vfio_container {};

namespace vfio {

class Group;

// Tag of the list of a container's groups (vocab/list.hpp).
struct InContainer;

class Container : public vfio_container, Immovable {
public:
	Container();
	~Container();

	RefCount &refs()
	{
		return refs_;
	}

	static Container &of(vfio_container *handle)
	{
		return *static_cast<Container *>(handle);
	}

	// VFIO_CHECK_EXTENSION. Returns an error of the driver, or a value, which
	// is 0 if nothing supports the extension. For a type that only some IOMMUs
	// support, the value is 1 if set_iommu() would succeed now.
	Result<long> check_extension(u64 extension);

	// VFIO_SET_IOMMU. Errors: EINVAL without groups or if the container has an
	// IOMMU; ENODEV if no driver supports the extension, or if only some IOMMUs
	// support it and no group is behind an IOMMU; those of the driver that
	// supports it.
	Result<void> set_iommu(u64 extension);

	// All other ioctls, which go to the IOMMU driver. Returns what the driver
	// returns, or -EINVAL if the container has no IOMMU.
	long iommu_ioctl(u32 cmd, u64 arg);

	// Claims a group's DMA and attaches the group to the IOMMU, if there is one.
	// The caller holds the group's lock and, if this succeeds, stores a reference
	// to the container in the group. Errors: EPERM if no-IOMMU groups would be
	// mixed with others, or for a no-IOMMU group without CAP_SYS_RAWIO; those of
	// claiming the DMA and of the driver.
	Result<void> attach(Group &group);

	// Returns whether the calling process has made the latest mapping, or none was made.
	bool last_mapped_by_caller()
	{
		const RefPtr<ContainerIommu> iommu = this->iommu();

		return !iommu || iommu->last_mapped_by_caller();
	}

	// Undoes attach(). The caller holds the group's lock and a reference to the
	// container.
	void detach(Group &group);

	// Which container it is since vfio.ko was loaded, from 1 on: its folder in debugfs.
	u64 number() const
	{
		return number_;
	}

	// Prints one record of a file in debugfs: part is an enum shim_debug_file, *cursor the
	// record, 0 for the first, and is set to the next. Takes locks only if that needs no
	// waiting for a group that is attached or detached, and holds none between records.
	// Returns 1 if there may be another record, else 0. Errors: EBUSY while a group is
	// attached or detached.
	int show(u32 part, u64 *cursor, seq_file *seq);

	// Returns the container's IOMMU, or an empty reference. The IOMMU stays the
	// same while a group of the container has an open device.
	RefPtr<ContainerIommu> iommu()
	{
		const Guard guard(iommu_lock_);
		const IoctlGate *gate = gate_.load();

		return gate ? gate->iommu : RefPtr<ContainerIommu>();
	}

private:
	// Makes the folder in debugfs, when the first group joins. That may fail, and nothing
	// depends on it.
	void make_debug_dir() __must_hold(groups_lock_);
	void show_groups(seq_file *seq) const __must_hold_shared(groups_lock_);
	int show_iommu(u32 part, u64 *cursor, seq_file *seq) __must_hold_shared(groups_lock_);

	// Whether a group of the container is behind an IOMMU.
	bool has_group_behind_iommu() const __must_hold_shared(groups_lock_);

	// Returns one of gates_ that has no IOMMU, and makes one if there is none.
	// Errors: ENOMEM.
	Result<IoctlGate *> get_unused_gate() __must_hold(groups_lock_)
		__must_not_hold(iommu_lock_);
	// Closes the gate of the container's IOMMU and returns it, or nullptr if
	// there is no IOMMU. The caller then releases the locks and calls
	// drop_if_empty().
	IoctlGate *close_gate() __must_hold(groups_lock_) __must_not_hold(iommu_lock_);
	// Called by an ioctl that entered a gate after it was closed. Leaves that
	// gate, and enters and returns the gate of the container's present IOMMU, or
	// returns nullptr if there is no IOMMU.
	IoctlGate *enter_another(IoctlGate &closed) __must_not_hold(groups_lock_, iommu_lock_);
	// Drops the gate's IOMMU if the gate is closed and no ioctl is inside.
	// Called after close_gate(), and by the last ioctl that leaves a closed gate.
	// Returns result, so that the ioctl can call this last.
	long drop_if_empty(IoctlGate &gate, long result) __must_not_hold(groups_lock_, iommu_lock_);

	// These do what check_extension() and set_iommu() do, with the drivers that
	// are registered now. *conclusive is set to false if another result is
	// possible after a module has been loaded.
	Result<long> try_check_extension(u64 extension, bool *conclusive);
	Result<void> try_set_iommu(u64 extension, bool *conclusive);

	// Asks the registered drivers in turn. Returns the first answer above 0, or
	// the last driver's answer.
	Result<long> ask_drivers(u64 extension) __must_hold_shared(groups_lock_);
	// Returns 1 if set_iommu() would succeed with the type now, else 0.
	Result<long> try_type(u64 type);
	// Opens the first registered driver that supports the extension and to which
	// all groups can be attached, and attaches them.
	Result<RefPtr<ContainerIommu>> open_iommu(u64 extension, bool *conclusive)
		__must_hold(groups_lock_);
	Result<void> try_attach(Group &group);
	Result<void> attach_all(const ContainerIommu &iommu) __must_hold(groups_lock_);
	void detach_all(const ContainerIommu &iommu) __must_hold(groups_lock_);

	static LockClass groups_lock_class_;
	static LockClass iommu_lock_class_;

	RwSem groups_lock_{groups_lock_class_};
	List<Group, InContainer> groups_ __guarded_by(groups_lock_);
	bool noiommu_ __guarded_by(groups_lock_) = false;

	Mutex iommu_lock_{iommu_lock_class_};
	List<IoctlGate> gates_ __guarded_by(iommu_lock_);
	// The gate of the container's IOMMU, or nullptr. Ioctls read this pointer
	// without a lock; it is written under groups_lock_ and iommu_lock_.
	Atomic<IoctlGate *> gate_{nullptr};

	CallRecord calls_;
	const u64 number_;
	// The task that has made the container.
	shim_task owner_;
	DebugDir debug_dir_ __guarded_by(groups_lock_);
	RefCount refs_;
};

} // namespace vfio
