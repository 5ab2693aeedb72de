// SPDX-License-Identifier: GPL-2.0
//
// MergedSet: groups that userspace has merged (include/uapi/vfio_group_merge.h). All members
// have the same container, and each finds the devices of all.
//
// A set lasts as long as one of its groups or devices has an open file; holds_ counts these
// files. A member whose own file is closed stays a member. When the last file is closed, the
// set is dissolved: all members leave it and the container. When only one member is left, the
// set is not called merged any more, and the member may leave the container as a group
// without a set may.
//
// Invariants, whenever the locks are free:
// - a group is on the list exactly if the set is its set_;
// - all members have the same container;
// - a set without holds has no members, or they are about to leave it.
//
// Locks: a group's lock, then lock_, then a group's kvm_lock_ or devices_lock_. A group joins
// and leaves with its own lock held.
#pragma once

#include "group_refs.hpp"
#include "kernel_refs.hpp"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"

namespace vfio {

class MergedSet;

// Tag of the list of a set's groups (vocab/list.hpp).
struct InMergedSet;

// A reference to a set that has no holds any more. The owner of one holds no group's lock when it
// destroys it: all members leave then.
void dissolve_set(MergedSet *set);
using AbandonedSet = Owned<MergedSet *, dissolve_set>;

class MergedSet : Immovable {
public:
	MergedSet() = default;

	RefCount &refs()
	{
		return refs_;
	}

	// Called with the group's lock held. holds is how many open files the group and its
	// devices have. remove() returns the set if these were its last.
	void add(Group &group, u32 holds);
	AbandonedSet remove(Group &group, u32 holds);

	// Called when a device's file is made. Returns false if the set is being dissolved.
	bool try_hold();
	// Called when a file of a member or of its device has been closed. Returns the set if
	// that was the last.
	AbandonedSet drop_hold();

	// Whether there are two members or more. A member that finds none beside it, and holds
	// its own lock, stays alone as long as it holds the lock.
	bool merged();

	// Returns the member whose IOMMU group has this number, or an empty reference.
	GroupRef find_member(int number);
	// Returns any member, or an empty reference.
	GroupRef any_member();

	// Returns the device of this name, or an empty reference if no member has it. Errors:
	// those of a driver's match.
	Result<DeviceRef> find_device(char *name);
	bool has_device(const Device &device);

	// Whether all DMA of all members snoops caches. Errors: EOPNOTSUPP if only the
	// container's IOMMU can tell.
	Result<bool> devices_enforce_coherency();

	// Returns the virtual machine of a member that has one. KVM's own calls do not come here.
	KvmRef share_kvm();

private:
	static LockClass lock_class_;

	AbandonedSet abandoned_locked() __must_hold(lock_);

	Mutex lock_{lock_class_};
	List<Group, InMergedSet> members_ __guarded_by(lock_);
	u32 holds_ __guarded_by(lock_) = 0;
	RefCount refs_;
};

} // namespace vfio
