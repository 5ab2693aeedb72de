// SPDX-License-Identifier: GPL-2.0
//
// Domain: one I/O page table and the groups attached to it. A container has
// one for each set of IOMMUs that cannot share; all hold the same mappings.
#pragma once

#include "dma/shim/iommu.h"
#include "dma_range.hpp"

namespace vfio {

// A group of the container. pinned_dirty_scope: its devices dirty memory only
// through pages that they pinned, so that unpinned pages are known clean.
struct AttachedGroup : ListNode<AttachedGroup> {
	AttachedGroup(iommu_group *group, bool pinned_dirty_scope)
		: group(group), pinned_dirty_scope(pinned_dirty_scope)
	{
	}

	iommu_group *const group;
	IovaRange aperture = kAllIova;
	bool pinned_dirty_scope;
};

using GroupList = List<AttachedGroup>;

// The entry of a group in a list of them, or nullptr.
AttachedGroup *find_group(const GroupList &groups, const iommu_group *group);

class Domain : public ListNode<Domain> {
public:
	// A domain for the devices of a group, nothing attached.
	// Errors: EIO if the IOMMU has none, ENOMEM.
	static Result<UniquePtr<Domain>> create(iommu_group *group);

	// Takes the domain over.
	explicit Domain(iommu_domain *domain) : domain_(domain)
	{
	}

	// Detaches and forgets all groups.
	~Domain();

	iommu_domain *get() const
	{
		return domain_;
	}

	Result<void> attach(iommu_group *group)
	{
		return Result<void>::from_negative(shim_domain_attach(domain_, group));
	}

	void detach(iommu_group *group)
	{
		shim_domain_detach(domain_, group);
	}

	// To be asked for right after the first attach.
	void enforce_coherency()
	{
		coherent_ = shim_domain_enforce_coherency(domain_);
	}

	bool coherent() const
	{
		return coherent_;
	}

	// Whether groups of the other domain could as well be attached here.
	bool compatible_with(const Domain &other) const
	{
		return shim_domain_driver(domain_) == shim_domain_driver(other.domain_) &&
		       coherent_ == other.coherent_;
	}

	IovaRange aperture() const;

	u64 pgsize_bitmap() const
	{
		return shim_domain_pgsize_bitmap(domain_);
	}

	// Maps what a dma range has pinned, in the IOMMU's smallest pages only
	// if small_pages is set. On error nothing stays mapped.
	// Ranges that do not overlap may be mapped and unmapped at one time.
	Result<void> map(const DmaRange &dma, bool small_pages);

	// Unmaps a whole dma range; no device reaches it afterwards.
	void unmap(const DmaRange &dma);

	// Does the same for a list of dma ranges in ascending order, with one
	// flush of the IOMMU unless they are terabytes apart (SHIM_MAX_FLUSH).
	void unmap_all(const List<DmaRange> &dmas);

	GroupList groups;

private:
	iommu_domain *const domain_;
	bool coherent_ = false;
};

} // namespace vfio
