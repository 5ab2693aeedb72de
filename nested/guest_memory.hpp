// SPDX-License-Identifier: GPL-2.0
//
// GuestMemory: the physical memory of a guest. Its mappings are a DmaTree whose IOVAs
// are guest physical addresses; all pages are pinned, and charged once, as long as a
// mapping exists. No IOMMU maps them at these addresses: nested domains
// (nested_domain.hpp) map pages of it where the guest's own tables say.
//
// A mapping is removed in three steps, so that no device reaches memory that is not
// pinned any more: it becomes busy, and is not found from then on; each nested domain
// forgets it; it is unpinned.
#pragma once

#include "dma/dma_tree.hpp"
#include "dma/pin_lookup.hpp"

namespace vfio {

class GuestMemory : Immovable {
public:
	// limit: how many mappings there may be.
	explicit GuestMemory(u32 limit) : tree(limit)
	{
	}

	// Pins the process's memory from uva on, charges it, and makes it the guest's
	// memory at gpas. workers is as in MapPolicy. A message about RLIMIT_MEMLOCK
	// names a device of group. The mapping is held: the caller calls keep() or drop()
	// once devices have it. Errors: those of DmaTree::insert_busy() and pin_range().
	Result<DmaRange *> add(IovaRange gpas, UserVa uva, u32 prot, iommu_group *group,
			       u32 workers) __must_not_hold(tree.lock);

	// Lets others remove a mapping that add() has returned.
	void keep(DmaRange &dma) __must_not_hold(tree.lock)
	{
		const Guard guard(tree.lock);

		tree.let_go(dma);
	}

	// Instead of keep(): the first step of removing, for this mapping.
	void drop(DmaRange &dma, List<DmaRange> &victims) __must_not_hold(tree.lock);

	// The first step of removing: makes the mappings in gpas busy, and puts them on
	// a list. Errors: EINVAL if gpas begins or ends inside a mapping, EINTR.
	Result<void> take(IovaRange gpas, List<DmaRange> &victims) __must_not_hold(tree.lock);

	// The last step: unpins busy mappings, which no nested domain has. Returns their
	// size in bytes.
	u64 remove(List<DmaRange> &victims) __must_not_hold(tree.lock);

	// The mapping that has a guest address, or nullptr if there is none or it is
	// busy.
	const DmaRange *find(u64 gpa) const __must_hold(tree.lock)
	{
		const DmaRange *dma = tree.find({gpa});

		return dma && !dma->busy.load() ? dma : nullptr;
	}

	// How many pages the guest has.
	u64 npages() const __must_hold(tree.lock)
	{
		return npages_;
	}

	DmaTree tree;

private:
	u64 npages_ __guarded_by(tree.lock) = 0;
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
		dma_ = nullptr;
	}

	// Returns the host memory behind a guest address, from its page on, as far as it
	// is contiguous. npages() is 0 if the guest has no memory there. prot is set to
	// what the mapping permits.
	PinRun find(u64 gpa, u32 &prot)
	{
		memory_.tree.lock.assume_held();
		if (!dma_ || !dma_->range().contains(Iova{gpa})) {
			dma_ = memory_.find(gpa);
			if (!dma_)
				return {};
		}
		prot = dma_->prot();
		return dma_->lookup->from(dma_->page_index({gpa}));
	}

	// Returns where the kernel has the page of a guest address, or nullptr if the
	// guest has no memory there that the CPU can read.
	const u64 *page(u64 gpa)
	{
		u32 prot = 0;
		const PinRun run = find(gpa, prot);

		if (run.npages() == 0 || !run.pinned())
			return nullptr;
		return static_cast<const u64 *>(shim_page_memory(run.first().value));
	}

private:
	const GuestMemory &memory_;
	const DmaRange *dma_ = nullptr;
};

} // namespace vfio
