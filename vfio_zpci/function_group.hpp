// SPDX-License-Identifier: GPL-2.0
//
// FunctionGroup: an IOMMU group that is attached to a guest, and the nested domain
// through which its devices reach the guest's memory. As the IOMMU cannot tell devices
// of a group apart, all functions of it have the same anchor.
//
// Lock: the owner's lock guards the group. It is held exclusively to set an anchor, and
// shared to refresh and to change the guest's memory.
#pragma once

#include "anchor.hpp"
#include "dma/domain_set.hpp"
#include "nested/nested_domain.hpp"

struct kvm;

namespace vfio {

class FunctionGroup : public ListNode<FunctionGroup> {
public:
	// Attaches a group that VFIO owns; its devices reach nothing before the first
	// refresh. no_mappings is empty, and so is the domain. Errors: those of
	// DomainSet::attach(); EINVAL if the IOMMU has no pages as small as the CPU's.
	static Result<UniquePtr<FunctionGroup>> attach(iommu_group *group, GuestMemory &memory,
						       DmaTree &no_mappings,
						       bool unsafe_interrupts);

	FunctionGroup(iommu_group *group, GuestMemory &memory, DmaTree &no_mappings)
		: group(group), memory_(memory), no_mappings_(no_mappings)
	{
	}

	// Unmaps all, and detaches the group.
	~FunctionGroup();

	// Gives the devices an anchor, for one more function. Maps what is mapped
	// directly. Errors: EBUSY if the group has another anchor, EINVAL if the IOMMU
	// does not translate all of the window, ENOMEM.
	Result<void> add_anchor(const Anchor &anchor);

	// Undoes add_anchor(). The last one unmaps all.
	void drop_anchor();

	// Makes what devices reach in a range, which is inside the window, agree with the
	// anchor's table. Parts of it that the IOMMU does not translate are left out.
	Refreshed refresh(IovaRange range, Context context);

	// Maps new memory of the guest for devices whose anchor is direct. Errors: ENOMEM;
	// the caller removes the memory then.
	Result<void> map_added_memory(IovaRange gpas);

	NestedDomain &nested()
	{
		return *nested_;
	}

	bool coherent() const
	{
		return domains_.coherent();
	}

	iommu_group *const group;
	// The virtual machine for which an open device of the group was opened, if any.
	const kvm *machine = nullptr;

private:
	GuestMemory &memory_;
	DmaTree &no_mappings_;
	DomainSet domains_;
	UniquePtr<NestedDomain> nested_;
	// How many functions have the anchor.
	u32 anchored_functions_ = 0;
	Anchor anchor_;
};

} // namespace vfio
