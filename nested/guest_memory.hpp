// SPDX-License-Identifier: GPL-2.0
//
// GuestMemory: the physical memory of a guest. Its mappings are a DmaTree whose IOVAs
// are guest physical addresses; all pages are pinned, and charged once, as long as a
// mapping exists. No IOMMU maps them at these addresses: nested domains
// (nested_domain.hpp) map pages of it where the guest's own tables say.
//
// A mapping that is complete is known: it can be looked up. It is removed in three steps,
// so that no device reaches memory that is not pinned any more: it is not known any more;
// each nested domain forgets it; it is unpinned.
//
// Locks: lock guards what is known. It is a lock of its own, so that refreshes of several
// functions look up memory at one time. The lock of the DmaTree is never held together
// with it.
#pragma once

#include "dma/dma_tree.hpp"
#include "dma/pin_lookup.hpp"

namespace vfio {

// A mapping of the guest's memory that is known.
class GuestMapping : public RangeNode<GuestMapping> {
public:
	GuestMapping(const DmaRange &dma, UniquePtr<PinLookup> lookup)
		: range_(dma.range()), prot_(dma.prot()), lookup_(vfio::move(lookup))
	{
	}

	// The guest addresses.
	IovaRange range() const
	{
		return range_;
	}

	u32 prot() const
	{
		return prot_;
	}

	// The host memory behind an address of the range, from its page on, as far as it is
	// contiguous.
	PinRun from(u64 gpa) const
	{
		return lookup_->from((gpa - range_.first.value) >> kPageShift);
	}

private:
	const IovaRange range_;
	const u32 prot_;
	const UniquePtr<PinLookup> lookup_;
};

class GuestMemory : Immovable {
public:
	// limit: how many mappings there may be.
	explicit GuestMemory(u32 limit) : tree_(limit)
	{
	}

	// Pins the process's memory from uva on, charges it, and makes it the guest's
	// memory at gpas. workers is as in MapPolicy. A message about RLIMIT_MEMLOCK
	// names a device of group. The mapping is held: the caller calls keep() or drop()
	// once devices have it. Errors: those of DmaTree::insert_busy() and pin_range().
	Result<DmaRange *> add(IovaRange gpas, UserVa uva, u32 prot, iommu_group *group,
			       u32 workers) __must_not_hold(lock);

	// Lets others remove a mapping that add() has returned.
	void keep(DmaRange &dma)
	{
		const Guard guard(tree_.lock);

		tree_.let_go(dma);
	}

	// Instead of keep(): the first step of removing, for this mapping.
	void drop(DmaRange &dma, List<DmaRange> &victims) __must_not_hold(lock);

	// The first step of removing: the mappings in gpas are not known any more, and are
	// put on a list. Errors: EINVAL if gpas begins or ends inside a mapping, EINTR.
	Result<void> take(IovaRange gpas, List<DmaRange> &victims) __must_not_hold(lock);

	// The last step: unpins mappings, which no nested domain has. Returns their size in
	// bytes.
	u64 remove(List<DmaRange> &victims);

	// How many more mappings may be made.
	u32 available();

	// The mappings, for those that show them.
	DmaTree &tree()
	{
		return tree_;
	}

	// The mapping that is known and has a guest address, or nullptr.
	const GuestMapping *find(u64 gpa) const __must_hold_shared(lock)
	{
		return known_.find({gpa});
	}

	// The first that is known and has an address in a range, or nullptr.
	const GuestMapping *first_in(IovaRange gpas) const __must_hold_shared(lock)
	{
		return known_.first_in(gpas);
	}

	// How many pages the guest has.
	u64 npages() const __must_hold_shared(lock)
	{
		return npages_;
	}

	RwSem lock{lock_class_};

private:
	void forget(const List<DmaRange> &victims) __must_not_hold(lock);

	static LockClass lock_class_;

	DmaTree tree_;
	RangeTree<GuestMapping> known_ __guarded_by(lock);
	u64 npages_ __guarded_by(lock) = 0;
};

// Finds host pages behind guest addresses. The caller of find() and page() holds the lock of
// the guest's memory. The reader remembers the last mapping; the caller calls forget()
// after it has released the lock.
class GuestReader : Immovable {
public:
	explicit GuestReader(const GuestMemory &memory) : memory_(memory)
	{
	}

	void forget()
	{
		mapping_ = nullptr;
	}

	// Returns the host memory behind a guest address, from its page on, as far as it
	// is contiguous. npages() is 0 if the guest has no memory there. prot is set to
	// what the mapping permits, which is not nothing; it stays as it is if the guest has
	// no memory there.
	[[gnu::always_inline]] PinRun find(u64 gpa, u32 &prot)
	{
		memory_.lock.assume_held_shared();
		if (!mapping_ || !mapping_->range().contains(Iova{gpa})) [[unlikely]] {
			mapping_ = memory_.find(gpa);
			if (!mapping_)
				return {};
		}
		prot = mapping_->prot();
		return mapping_->from(gpa);
	}

	// Returns where the kernel has the page of a guest address, or nullptr if the
	// guest has no memory there that the CPU can read.
	const u64 *page(u64 gpa)
	{
		return page(gpa, 0);
	}

	// The same for a page that the process has given to be written, or nullptr.
	u64 *writable_page(u64 gpa)
	{
		return page(gpa, SHIM_IOMMU_WRITE);
	}

private:
	[[gnu::noinline]] u64 *page(u64 gpa, u32 access)
	{
		u32 prot = 0;
		const PinRun run = find(gpa, prot);

		if (run.npages() == 0 || !run.pinned() || (prot & access) != access)
			return nullptr;
		return static_cast<u64 *>(shim_page_memory(run.first().value));
	}

	const GuestMemory &memory_;
	const GuestMapping *mapping_ = nullptr;
};

} // namespace vfio
