// SPDX-License-Identifier: GPL-2.0
//
// Domain: one I/O page table and the groups attached to it. An address space has
// one for each set of IOMMUs that cannot share one (domain_set.hpp).
#pragma once

#include "dma/shim/iommu.h"
#include "dma_range.hpp"
#include "unmapper.hpp"
#include "vocab/atomic.hpp"

namespace vfio {

// A group whose devices use an address space. pinned_dirty_scope says that they
// dirty only pages which they have pinned, so that all others are known clean.
struct AttachedGroup : ListNode<AttachedGroup> {
	AttachedGroup(iommu_group *group, bool pinned_dirty_scope)
		: group(group), pinned_dirty_scope(pinned_dirty_scope)
	{
	}

	iommu_group *const group;
	IovaRange aperture = kAllIova;
	bool pinned_dirty_scope;
};

// The entry of a group in a list of them, or nullptr.
AttachedGroup *find_group(const List<AttachedGroup> &groups, const iommu_group *group);

class Domain : public ListNode<Domain> {
public:
	// Makes a domain that the devices of group can use, without attaching them.
	// Errors: EIO if there is no IOMMU for them, ENOMEM.
	static Result<UniquePtr<Domain>> create(iommu_group *group);

	// Owns the domain from now on.
	explicit Domain(iommu_domain *domain) : domain_(domain), remapped_(domain, &use_)
	{
	}

	// Detaches the groups that are left, and frees their entries.
	~Domain();

	iommu_domain *get() const
	{
		return domain_;
	}

	// Both wait until no thread maps, unmaps or flushes in the domain. A caller that leaves the
	// group in the list `groups` needs no other lock.
	Result<void> attach(iommu_group *group)
	{
		const DomainUse::Changing changing(use_);

		return Result<void>::from_negative(shim_domain_attach(domain_, group));
	}

	void detach(iommu_group *group)
	{
		const DomainUse::Changing changing(use_);

		shim_domain_detach(domain_, group);
	}

	// Makes all DMA snoop the CPU's caches, if the IOMMU can. Called right
	// after the first attach, before anything is mapped.
	void enforce_coherency()
	{
		coherent_ = shim_domain_enforce_coherency(domain_);
	}

	bool coherent() const
	{
		return coherent_;
	}

	// Whether groups of the other domain can be attached to this one instead.
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

	// Maps what a dma range has pinned and is not shut, in the IOMMU's smallest pages only
	// if small_pages is set. On error nothing stays mapped.
	// Ranges that do not overlap may be mapped and unmapped at one time.
	Result<void> map(const DmaRange &dma, bool small_pages);

	// Maps one run of a dma range at an address. On error nothing stays mapped.
	Result<void> map_run(Iova at, const PinRun &run, u32 prot, bool small_pages);

	// Unmaps dma ranges, which are in ascending order, with one flush of the
	// IOMMU unless they are terabytes apart (SHIM_MAX_FLUSH). No device
	// reaches them afterwards.
	void unmap(const List<DmaRange> &dmas);

	// Maps some pages of a dma range that has remapped ones, whole pieces of them that are in
	// no domain. On error nothing stays mapped.
	Result<void> map_pages(const DmaRange &dma, RemappedPages::Span span, bool small_pages);

	// Unmaps them. Devices may go on reaching what was mapped until flush_remapped(); the
	// addresses may be mapped before.
	void unmap_pages(const DmaRange &dma, RemappedPages::Span span);
	void flush_remapped()
	{
		flushes_.add(remapped_.finish());
	}

	// How often unmapping has flushed the IOMMU.
	u64 flushes() const
	{
		return flushes_.load();
	}

	DomainUse *use() const
	{
		return &use_;
	}

	List<AttachedGroup> groups;

private:
	// What map() does if one call of the IOMMU is not enough.
	[[gnu::noinline]] Result<void> map_in_parts(const DmaRange &dma, bool small_pages);
	// What unmap() does for several ranges, or for one with parts that are not mapped.
	[[gnu::noinline]] void unmap_pieces(const List<DmaRange> &dmas);

	iommu_domain *const domain_;
	mutable DomainUse use_;
	bool coherent_ = false;
	Atomic<u64> flushes_{0};
	// What unmap_pages() leaves to be flushed.
	Unmapper remapped_;
};

} // namespace vfio
