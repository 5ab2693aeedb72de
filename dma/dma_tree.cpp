// SPDX-License-Identifier: GPL-2.0
#include "dma_tree.hpp"

namespace vfio {

constinit LockClass DmaTree::lock_class_ = {"dma_tree", {}};
constinit LockClass DmaTree::settled_class_ = {"dma_tree_settled", {}};

DmaTree::DmaTree(u32 limit) : available_(limit)
{
}

void DmaTree::list_all(List<DmaRange> &dmas) const
{
	for (DmaRange &dma : tree_)
		dmas.push_back(dma);
}

bool DmaTree::all_inside(IovaRange range) const
{
	const DmaRange *first = tree_.first();
	const bool above =
		range.last != kAllIova.last && tree_.first_from(range.last + 1) != nullptr;

	return !above && (!first || first->range().first >= range.first);
}

Result<bool> DmaTree::bisects(IovaRange range)
{
	for (;;) {
		const DmaRange *first = tree_.find(range.first);
		const DmaRange *last =
			first && first->range().last >= range.last ? first : tree_.find(range.last);
		const DmaRange *busy = first && first->busy.load() ? first : last;

		if (!busy || !busy->busy.load())
			return (first && first->range().first != range.first) ||
			       (last && last->range().last != range.last);
		TRY(wait_settled(busy->range()));
	}
}

// A mapping in range that is busy or, if held_too is set, held; or nullptr.
DmaRange *DmaTree::unsettled(IovaRange range, bool held_too) const
{
	for (DmaRange *dma = first_in(range); dma; dma = next_in(*dma, range))
		if (dma->busy.load() || (held_too && dma->held))
			return dma;
	return nullptr;
}

Result<void> DmaTree::wait(IovaRange range, bool held_too)
{
	if (!unsettled(range, held_too)) [[likely]]
		return {};

	Result<void> result;
	waiting_.add(1);
	while (result.ok() && unsettled(range, held_too))
		if (!settled_.wait(lock))
			result = Error(EINTR);
	waiting_.add(-1);
	return result;
}

void DmaTree::wake_waiting()
{
	const Guard guard(lock);

	settled_.wake_all();
}

Result<void> DmaTree::insert_busy(DmaRange &dma)
{
	const IovaRange range = dma.range();

	while (!tree_.insert(dma)) {
		if (!unsettled(range, false))
			return Error(EEXIST);
		TRY(wait_settled(range));
	}

	Result<void> owned = available_ ? Owner::of_caller(last_owner_) : Error(ENOSPC);
	if (!owned.ok()) {
		tree_.erase(dma);
		return owned;
	}
	dma.set_owner(last_owner_);
	dma.busy.store(true);
	available_--;
	oversized_ += oversized(range);
	return {};
}

void DmaTree::take_back(DmaRange &dma)
{
	uncount(dma);
	available_++;
	tree_.erase(dma);
}

// Takes a mapping out of the counts of its kind; the caller takes it out of the tree.
void DmaTree::uncount(const DmaRange &dma)
{
	oversized_ -= oversized(dma.range());
	vaddr_invalid_ -= dma.vaddr_invalid;
}

Result<DmaRange *> DmaTree::list_idle(IovaRange range, List<DmaRange> &dmas)
{
	DmaRange *pinned = nullptr;

	for (DmaRange *dma = first_in(range); dma;) {
		if (dma->busy.load() || dma->held) [[unlikely]] {
			dmas.clear();
			TRY(wait_idle(range));
			pinned = nullptr;
			dma = first_in(range);
			continue;
		}
		if (!pinned && !dma->external.empty())
			pinned = dma;
		dmas.push_back(*dma);
		dma = next_in(*dma, range);
	}
	return pinned;
}

u64 DmaTree::remove(List<DmaRange> &dmas)
{
	u64 removed = 0;

	// A caller who maps the same addresses next may be charged as much as these.
	uncharge_all(dmas);
	{
		const Guard guard(lock);
		u32 count = 0;

		for (const DmaRange &dma : dmas) {
			removed += dma.range().size();
			uncount(dma);
			count++;
		}
		available_ += count;
		unmapped_.count += count;
		unmapped_.bytes += removed;
		if (count == tree_.size())
			tree_.clear();
		else
			for (DmaRange &dma : dmas)
				tree_.erase(dma);

		// Without mappings last_owner_ stays only if it is the calling process,
		// so that a process that has gone is not referred to.
		if (tree_.empty() && last_owner_ && last_owner_->mm() != shim_current_mm())
			last_owner_.reset();
		if (waiting_.load()) [[unlikely]]
			settled_.wake_all();
	}
	// Freeing several together takes an array, which costs more than it saves for
	// one mapping.
	if (dmas.singular())
		destroy(dmas.pop_front());
	else
		free_all(dmas);
	return removed;
}

void DmaTree::remove_failed(DmaRange &dma)
{
	List<DmaRange> failed;
	const u64 size = dma.range().size();

	failed.push_back(dma);
	remove(failed);

	const Guard guard(lock);

	unmapped_.count--;
	unmapped_.bytes -= size;
}

// Uncharges the owners of busy mappings: once for successive mappings of one owner.
void DmaTree::uncharge_all(const List<DmaRange> &dmas)
{
	const Owner *owner = nullptr;
	u64 charged = 0;

	for (DmaRange &dma : dmas) {
		if (owner != &dma.owner()) {
			if (owner)
				owner->uncharge(vfio::exchange(charged, u64{0}));
			owner = &dma.owner();
		}
		charged += dma.note_uncharge(dma.charged());
	}
	if (owner)
		owner->uncharge(charged);
}

void DmaTree::free_all(List<DmaRange> &dmas)
{
	constexpr u32 kMany = 32;
	void *memory[kMany];
	u32 freed = 0;

	while (DmaRange *dma = dmas.pop_front()) {
		dma->~DmaRange();
		memory[freed++] = dma;
		if (freed == kMany || dmas.empty())
			shim_slab_free_many(&DmaRange::slab, vfio::exchange(freed, 0u), memory);
	}
}

Result<void> DmaTree::restore_vaddr(DmaRange &dma, UserVa uva, iommu_group *group)
{
	RefPtr<Owner> owner = last_owner_;
	TRY(Owner::of_caller(owner));

	const Result<void> changed = dma.change_owner(owner, uva);
	if (changed.error() == Error(ENOMEM))
		owner->log_enomem(group, "keep", dma.charged(), true);
	TRY(changed);
	last_owner_ = vfio::move(owner);
	dma.vaddr_invalid = false;
	vaddr_invalid_--;
	return {};
}

} // namespace vfio
