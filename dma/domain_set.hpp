// SPDX-License-Identifier: GPL-2.0
//
// DomainSet: the domains through which hardware groups reach the mappings of
// one address space, and what these domains have in common.
//
// Groups whose IOMMUs can share have one domain together. All domains are kept
// in step: each has all mappings, whose pages stay pinned as long as there is a
// domain.
//
// Invariants, whenever the owner's lock is free:
// - every domain has a group;
// - a mapping that is not busy is pinned and mapped, whole but for what is shut, in every domain,
//   and iommu_mapped is set; without domains none is;
// - borrowing_ has the mappings in the domains with memory that has no struct pages, if the policy
//   says what of it is shut (borrowed.cpp), and those of which a page was remapped (remap.cpp);
// - space() is what every domain can translate less what a group has reserved;
//   mappings lie inside it.
//
// Locks: the set's owner has a lock, which is held shared to map, unmap and look, and exclusively to
// attach and detach groups. borrowed_lock_ is taken inside of it and of DmaTree's, and is held for
// work of the IOMMU alone, never while pages are pinned.
#pragma once

#include "dma_tree.hpp"
#include "domain.hpp"
#include "iova_space.hpp"
#include "shim/seq.h"
#include "vfio_cxx/remap.h"

namespace vfio {

// What an owner knows of memory without struct pages.
struct BorrowPolicy {
	// Called before such memory is mapped, without a lock that update_borrowed() takes: from
	// now on the owner calls update_borrowed() when answers of shut() have changed. Errors:
	// ENOMEM.
	Result<void> (*begin)(const BorrowPolicy &policy);
	// Whether one of some pages may not be reached now.
	bool (*shut)(const BorrowPolicy &policy, Pfn first, u64 npages);
};

// How memory is mapped. It may differ from call to call.
struct MapPolicy {
	// In the IOMMU's smallest pages only.
	bool small_pages = false;
	// How many threads pin a large mapping together; 0: one for each CPU that
	// the caller may use.
	u32 workers = 0;
	// nullptr if no memory is ever shut.
	const BorrowPolicy *borrow = nullptr;
};

// Which groups may be attached, and how.
struct AttachPolicy {
	// Domains have two stages, the first of which is a guest's.
	bool nesting = false;
	// Groups may be attached whose interrupts are not remapped.
	bool unsafe_interrupts = false;
	MapPolicy map;
};

class DomainSet : Immovable {
public:
	~DomainSet();

	bool empty() const
	{
		return domains_.empty();
	}

	// One of the groups, for the log; nullptr if there is none.
	iommu_group *any_group() const
	{
		return empty() ? nullptr : domains_.front()->groups.front()->group;
	}

	// Whether all domains make DMA snoop the CPU's caches.
	bool coherent() const;

	// Whether the IOMMU of any domain has a second stage.
	bool can_nest() const;

	// The page sizes that all domains have, or-ed, and the smallest of them. It
	// is not smaller than the CPU's, by which memory is pinned.
	u64 page_sizes() const
	{
		return page_sizes_;
	}

	unsigned int page_shift() const
	{
		return smallest_shift(page_sizes_);
	}

	// The addresses that may be mapped.
	const IovaSpace &space() const
	{
		return space_;
	}

	// The entry of a group that is attached, or nullptr.
	AttachedGroup *find(const iommu_group *group) const;

	// The domain that a group is attached to. Errors: ENODEV.
	Result<Domain *> domain_of(const iommu_group *group) const;

	// Attaches a group to an existing domain, if their IOMMUs can share it, or
	// else to a new one, in which all mappings are mapped. For the first domain
	// they are also pinned, and their owners charged. No mapping is busy.
	// Errors: EINVAL if mappings or the domains' page sizes conflict with it,
	// EPERM if the policy forbids it, EIO without a domain, ENOMEM, errors of
	// pinning and mapping; nothing has changed then.
	Result<void> attach(iommu_group *group, DmaTree &dmas, const AttachPolicy &policy)
		__must_hold(dmas.lock);

	// Detaches a group. Its domain stays, with the mappings, until
	// drop_unused(). Returns false if the group is not attached.
	bool detach(iommu_group *group);

	// Whether a group is attached.
	bool has_groups() const;

	// Frees the domains that have no group. If no group is left, the caller has
	// unmapped all mappings before.
	void drop_unused(DmaTree &dmas) __must_not_hold(dmas.lock);

	// Pins a mapping, which is busy, charges its owner, and maps it in all
	// domains. Errors: those of pin_range() and of the IOMMUs' drivers;
	// nothing is pinned or mapped then.
	Result<void> map(DmaRange &dma, const MapPolicy &policy) const;

	// Unmaps mappings, in the order of their addresses, from all domains, and
	// unpins them, when no device can reach their pages any more. They are
	// busy, or the caller has the set alone. Their owners stay charged.
	void unmap(const List<DmaRange> &dmas) const;

	// How often unmap() has flushed the IOMMUs of the domains that there are.
	u64 flushes() const;

	// Prints a line for each domain, for debugfs.
	void show(seq_file *seq) const;

	// Unmaps from all domains what is shut now, with one flush of each, and maps again what is
	// not shut any more. May be called at any time. Errors: those of the IOMMUs' drivers
	// while mapping; some runs stay shut then.
	Result<void> update_borrowed(const MapPolicy &policy) const __must_not_hold(borrowed_lock_);

	// vfio_iommu_extension::remap (vfio_cxx/iommu_extension.h): lets groups reach other pages at some addresses.
	// Returns how many are done, from the first on, 1 at least. Waits for nobody who holds
	// dmas.lock, which it needs once for a mapping. Errors: those of vfio_gate_remap().
	Result<u64> remap(DmaTree &dmas, const vfio_remap_page *pages, u64 count,
			  const MapPolicy &policy) const __must_not_hold(dmas.lock, borrowed_lock_);
	// From now on no group reaches what remap() has replaced.
	void flush_remapped() const __must_not_hold(borrowed_lock_);
	// Undoes all that remap() has done, and flushes. Where the IOMMU has no memory to map a
	// user's page, none is reached.
	void put_all_users_back(const MapPolicy &policy) const __must_not_hold(borrowed_lock_);

private:
	struct MsiWindow;

	Result<void> map_in_all(DmaRange &dma, const MapPolicy &policy) const;
	// Does what map() does after pinning.
	Result<void> map_borrowed(DmaRange &dma, const MapPolicy &policy) const
		__must_not_hold(borrowed_lock_);
	bool any_borrowed(const List<DmaRange> &dmas) const;
	// Unmaps from all domains, for unmap().
	void unmap_borrowed(const List<DmaRange> &dmas) const __must_not_hold(borrowed_lock_);
	// Ends replay(): maps what has memory without struct pages, moving it from borrowed to
	// mapped, and puts the domain into the set. On error the domain has no mapping.
	Result<void> replay_borrowed(UniquePtr<Domain> &domain, List<DmaRange> &borrowed,
				     List<DmaRange> &mapped, const MapPolicy &policy)
		__must_not_hold(borrowed_lock_);
	Result<void> put_back(const DmaRange &dma, Iova at, const PinRun &run,
			      bool small_pages) const;

	// remap.cpp
	Result<u64> remap_some(DmaTree &dmas, const vfio_remap_page *pages, u64 count,
			       const MapPolicy &policy, bool borrows) const
		__must_not_hold(dmas.lock, borrowed_lock_);
	Result<u64> remap_in(DmaRange &dma, const vfio_remap_page *pages, u64 count,
			     const MapPolicy &policy, bool borrows) const
		__must_hold(borrowed_lock_);
	Result<void> exchange_pages(DmaRange &dma, u64 first, PinPage *pages, u64 count,
				    const MapPolicy &policy, RemappedPages::Span &span) const
		__must_hold(borrowed_lock_);
	void put_users_back(DmaRange &dma, const MapPolicy &policy) const
		__must_hold(borrowed_lock_);
	Result<void> map_pages(const DmaRange &dma, RemappedPages::Span span,
			       bool small_pages) const __must_hold(borrowed_lock_);
	// The mapping of which pages may be remapped that has the address, or nullptr.
	DmaRange *remapped_at(Iova iova) const __must_hold(borrowed_lock_);
	Result<void> begin_remapping(DmaTree &dmas, Iova iova) const
		__must_not_hold(dmas.lock, borrowed_lock_);

	Domain *domain_with(const iommu_group *group) const;
	Result<void> narrow(IovaSpace &space, const AttachedGroup &attached, const DmaTree &dmas,
			    MsiWindow &msi) __must_hold(dmas.lock);
	Result<bool> join_existing(Domain &from, AttachedGroup &attached);
	Result<void> replay(UniquePtr<Domain> &domain, DmaTree &dmas, const MapPolicy &policy)
		__must_hold(dmas.lock);
	Result<void> rebuild_space();
	u64 common_page_sizes(const Domain *one_more) const;

	static LockClass borrowed_lock_class_;

	// Changes under the owner's lock and borrowed_lock_.
	List<Domain> domains_;
	mutable Mutex borrowed_lock_{borrowed_lock_class_};
	mutable List<DmaRange, Borrowing> borrowing_ __guarded_by(borrowed_lock_);
	// Whether borrowing_ has any.
	mutable Atomic<bool> has_borrowed_{false};
	IovaSpace space_;
	// Changes while the owner has the set alone and holds the mappings' lock.
	u64 page_sizes_ = kPageMask;
};

} // namespace vfio
