// SPDX-License-Identifier: GPL-2.0
//
// Container: one address space for DMA. Groups join it, and an IOMMU driver keeps
// its mappings. It lives as long as its file or a group holds it.
//
// Invariants, whenever the locks are free:
// - it has an IOMMU only while it has groups: when the last group leaves, the IOMMU
//   and with it the right to use one are gone;
// - its groups are all no-IOMMU (noiommu_) or none is;
// - all its groups are attached to its IOMMU.
//
// Locks: a group's lock, then groups_lock_, then the driver registry's lock or
// iommu_lock_. Which IOMMU there is changes only under both groups_lock_ and
// iommu_lock_. Ioctls that go to the IOMMU driver take neither: an attach may
// wait, with groups_lock_ held, for another ioctl (VFIO_DMA_MAP_FLAG_VADDR).
// Instead the IOMMU's gate counts them. When the last group leaves, the gate is
// closed: no further ioctl finds it, and the last ioctl that leaves it drops the
// IOMMU. A container has one gate, and one more for each earlier IOMMU that an
// ioctl is still inside.
#pragma once

#include "ioctl_gate.hpp"
#include "vocab/atomic.hpp"

// The C side's handle for a Container.
struct vfio_container {};

namespace vfio {

class Group;

struct InContainer;

class Container : public vfio_container, Immovable {
public:
	Container() = default;
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
	// IOMMU; ENODEV if no driver supports the extension, or if the type needs
	// an IOMMU and no group has one; those of the driver that supports it.
	Result<void> set_iommu(u64 extension);

	// All other ioctls: they are the IOMMU driver's. Returns a value or a
	// negative errno.
	long iommu_ioctl(u32 cmd, u64 arg);

	// Claims a group's DMA and attaches the group. The caller holds the
	// group's lock and then gives the group a reference to the container.
	// Errors: EPERM if no-IOMMU groups would be mixed with others, or for a
	// no-IOMMU group without CAP_SYS_RAWIO; those of claiming the DMA and of
	// the driver.
	Result<void> attach(Group &group);

	// Undoes attach(). The caller holds the group's lock and a reference.
	void detach(Group &group);

	// The IOMMU, or nothing. It stays the same while a group of the container
	// has an open device.
	RefPtr<ContainerIommu> iommu()
	{
		const Guard guard(iommu_lock_);
		const IoctlGate *gate = gate_.load();

		return gate ? gate->iommu : RefPtr<ContainerIommu>();
	}

private:
	// Whether a group of the container has an IOMMU.
	bool hardware() const __must_hold_shared(groups_lock_);

	// Returns a gate that has no IOMMU: an old one, or else a new one.
	// Errors: ENOMEM.
	Result<IoctlGate *> free_gate() __must_hold(groups_lock_) __must_not_hold(iommu_lock_);
	// Closes the gate of the container's IOMMU and returns it, or nullptr if
	// there is no IOMMU. The caller then calls leave() without the locks.
	IoctlGate *close_gate() __must_hold(groups_lock_) __must_not_hold(iommu_lock_);
	IoctlGate *enter_another(IoctlGate &late) __must_not_hold(groups_lock_, iommu_lock_);
	// Drops the gate's IOMMU if the gate is closed and no ioctl is inside.
	// Called after close_gate(), and by the last ioctl in a closed gate.
	// Returns result, so that the ioctl can return it in a tail call.
	long leave(IoctlGate &gate, long result) __must_not_hold(groups_lock_, iommu_lock_);

	// These ask the registered drivers. known is set to whether the answer stays
	// the same if a module is loaded.
	Result<long> try_check_extension(u64 extension, bool *known);
	Result<long> ask_drivers(u64 extension) __must_hold_shared(groups_lock_);
	// Returns 1 if set_iommu() would succeed with the type now, else 0.
	Result<long> try_type(u64 type);
	Result<void> try_set_iommu(u64 extension, bool *known);
	// Opens an IOMMU of a driver and attaches all groups to it.
	Result<RefPtr<ContainerIommu>> open_iommu(u64 extension, bool *known)
		__must_hold(groups_lock_);
	Result<void> attach_all(const ContainerIommu &iommu) __must_hold(groups_lock_);
	void detach_all(const ContainerIommu &iommu) __must_hold(groups_lock_);

	static LockClass groups_lock_class_;
	static LockClass iommu_lock_class_;

	RwSem groups_lock_{groups_lock_class_};
	List<Group, InContainer> groups_ __guarded_by(groups_lock_);
	bool noiommu_ __guarded_by(groups_lock_) = false;

	Mutex iommu_lock_{iommu_lock_class_};
	List<IoctlGate> gates_ __guarded_by(iommu_lock_);
	// The gate of the IOMMU that the container has, or nullptr. Ioctls read
	// it without a lock; it is written under groups_lock_ and iommu_lock_.
	Atomic<IoctlGate *> gate_{nullptr};

	RefCount refs_;
};

} // namespace vfio
