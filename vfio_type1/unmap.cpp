// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_UNMAP_DMA: unmapping, and invalidating user addresses.
//
// Mappings to unmap are made busy together, then unmapped with one flush, then
// unpinned, then taken out of the tree: what is mapped anew at their addresses
// comes after all of that.
#include "dma/dirty_report.hpp"
#include "dma/pinner.hpp"
#include "type1.hpp"

namespace vfio {

namespace {

// How often devices are asked to unpin one mapping before it is a bug of
// theirs.
constexpr int kMaxAsked = 10;

} // namespace

// What an unmap request names. Errors: EINVAL, EOVERFLOW.
Result<IovaRange> Type1::unmap_bounds(const vfio_iommu_type1_dma_unmap &unmap)
{
	const u64 page_mask = (u64{1} << pgshift()) - 1;

	if (unmap.iova & page_mask)
		return Error(EINVAL);
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap.iova || unmap.size)
			return Error(EINVAL);
		return kAllIova;
	}
	if (unmap.size & page_mask)
		return Error(EINVAL);
	return IovaRange::of_size({unmap.iova}, unmap.size);
}

// Nobody can tell of a mapping that may yet fail, or go. Errors: EINTR.
Result<bool> Type1::bisects_mapping(IovaRange range)
{
	for (;;) {
		const DmaRange *first = dmas_.find(range.first);
		const DmaRange *last =
			first && first->range().last >= range.last ? first : dmas_.find(range.last);
		const DmaRange *busy = first && first->busy.load() ? first : last;

		if (!busy || !busy->busy.load())
			return (first && first->range().first != range.first) ||
			       (last && last->range().last != range.last);
		TRY(settle(busy->range(), false));
	}
}

// With v1 a mapping goes if its first address is in the range, and a range
// that begins inside one unmaps nothing.
DmaRange *Type1::first_to_unmap(IovaRange range) const
{
	DmaRange *dma = dmas_.first_in(range);

	return dma && !v2_ && dma->range().first < range.first ? nullptr : dma;
}

DmaRange *Type1::next_in(const DmaRange &dma, IovaRange range) const
{
	DmaRange *next = dmas_.next(dma);

	return next && next->range().first <= range.last ? next : nullptr;
}

// The usual request, for one mapping as it was made, idle and without dirty
// bits; returns the bytes, or 0 and nothing done if it is anything else.
u64 Type1::unmap_single(const vfio_iommu_type1_dma_unmap &unmap)
{
	const ReadGuard groups(groups_lock_);
	DmaRange *dma;
	{
		const Guard guard(lock_);

		dma = dmas_.find({unmap.iova});
		if (!dma || dma->range().first.value != unmap.iova ||
		    dma->range().size() != unmap.size || dma->busy.load() || dma->held ||
		    dma->has_external())
			return 0;
		dma->busy.store(true);
	}
	if (hardware()) {
		for (Domain &domain : domains_)
			domain.unmap(*dma);
		unpin_range(*dma);
	}
	dma->uncharge_to(0);
	{
		const Guard guard(lock_);

		forget(*dma);
		forget_idle_owner();
	}
	settled();
	destroy(dma);
	return unmap.size;
}

Result<void> Type1::unmap_dma(UserVa arg)
{
	constexpr u32 kFlags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR |
			       VFIO_DMA_UNMAP_FLAG_ALL;
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dma_unmap, size);
	vfio_iommu_type1_dma_unmap unmap;

	TRY(copy_struct_in<kSize>(&unmap, arg));
	if (unmap.argsz < kSize || (unmap.flags & ~kFlags))
		return Error(EINVAL);

	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		unmap.size = TRY(unmap_with_bitmap(unmap, arg + kSize));
	else
		unmap.size = TRY(unmap_in_range(unmap, nullptr));
	return copy_struct_out<sizeof(unmap.size)>(
		arg + __builtin_offsetof(vfio_iommu_type1_dma_unmap, size), &unmap.size);
}

// The bitmap's description, at arg, follows the request.
[[gnu::noinline]] Result<u64> Type1::unmap_with_bitmap(const vfio_iommu_type1_dma_unmap &unmap,
						       UserVa arg)
{
	vfio_bitmap bitmap;

	if (unmap.flags != VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP ||
	    unmap.argsz < sizeof(unmap) + sizeof(bitmap))
		return Error(EINVAL);
	TRY(copy_struct_in<sizeof(bitmap)>(&bitmap, arg));
	TRY(check_bitmap(bitmap, unmap.size));
	return unmap_in_range(unmap, &bitmap);
}

// Returns the bytes that were unmapped. bitmap is null unless the caller asks
// what is dirty.
Result<u64> Type1::unmap_in_range(const vfio_iommu_type1_dma_unmap &unmap,
				  const vfio_bitmap *bitmap)
{
	if (!unmap.flags)
		if (const u64 unmapped = unmap_single(unmap)) [[likely]]
			return unmapped;
	return unmap_any(unmap, bitmap);
}

Result<u64> Type1::unmap_any(const vfio_iommu_type1_dma_unmap &unmap, const vfio_bitmap *bitmap)
{
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_VADDR)
		return suspend(unmap);

	IovaRange pinned = {};
	u64 unmapped = 0;
	int asked = 0;

	for (;;) {
		const IovaRange before = pinned;
		Result<bool> done = try_unmap(unmap, bitmap, &unmapped, &pinned);

		if (done.ok() && done.value())
			return unmapped;

		const bool first = asked == 0;
		asked = pinned == before ? asked + 1 : 1;
		if (done.ok() &&
		    !WARN_ONCE_IF(asked > kMaxAsked, "a device does not unpin what is unmapped")) {
			const Guard devices(devices_lock_);

			shim_device_list_dma_unmap(&devices_, pinned.first.value, pinned.size());
			continue;
		}
		if (!first)
			stay();
		return done.ok() ? Error(EBUSY) : done.error();
	}
}

Result<u64> Type1::suspend(const vfio_iommu_type1_dma_unmap &unmap)
{
	const ReadGuard groups(groups_lock_);

	// A device that pins page by page needs the addresses at any time.
	if (!emulated_groups_.empty())
		return Error(EBUSY);

	const IovaRange range = TRY(unmap_bounds(unmap));
	const Guard guard(lock_);

	return invalidate_vaddr(range);
}

// False if devices must unpin a mapping first, which is pinned then.
// Errors: EINVAL, EOVERFLOW, EFAULT, EINTR.
Result<bool> Type1::try_unmap(const vfio_iommu_type1_dma_unmap &unmap, const vfio_bitmap *bitmap,
			      u64 *unmapped, IovaRange *pinned)
{
	const ReadGuard groups(groups_lock_);
	const IovaRange range = TRY(unmap_bounds(unmap));
	List<DmaRange> victims;
	bool all_dirty = false;

	if (bitmap && bitmap->pgsize != u64{1} << pgshift())
		return Error(EINVAL);
	if (!TRY(take_victims(range, bitmap ? &all_dirty : nullptr, victims, pinned)))
		return false;

	if (bitmap) {
		DirtyReport report(range, pgshift(), {reinterpret_cast<u64>(bitmap->data)});
		const Result<void> told = report_victims(victims, report, all_dirty);

		if (!told.ok()) {
			put_back(victims);
			return told.error();
		}
	}
	*unmapped = remove(victims);
	return true;
}

// Lists the mappings of the range once nobody maps, unmaps or uses them;
// returns the first that devices have pinned, or nullptr. Errors: EINTR.
Result<DmaRange *> Type1::list_idle(IovaRange range, List<DmaRange> &dmas)
{
	DmaRange *pinned = nullptr;

	for (DmaRange *dma = dmas_.first_in(range); dma;) {
		if (dma->busy.load() || dma->held) [[unlikely]] {
			dmas.clear();
			TRY(settle(range, true));
			pinned = nullptr;
			dma = dmas_.first_in(range);
			continue;
		}
		if (!pinned && dma->has_external())
			pinned = dma;
		dmas.push_back(*dma);
		dma = next_in(*dma, range);
	}
	return pinned;
}

// Makes all mappings of the range the caller's. False if devices must unpin
// one first, which is pinned then. all_dirty, if dirty bits are asked for:
// whether each page is dirty. Errors: EINVAL, EINTR.
Result<bool> Type1::take_victims(IovaRange range, bool *all_dirty, List<DmaRange> &victims,
				 IovaRange *pinned)
{
	const Guard guard(lock_);
	DmaRange *external = TRY(list_idle(range, victims));
	const bool begins_inside = !victims.empty() && victims.front()->range().first < range.first;
	const bool ends_inside = !victims.empty() && victims.back()->range().last > range.last;

	// The v2 interface never splits a mapping: what the range touches it
	// must cover. With v1 one that begins inside a mapping unmaps nothing.
	if ((v2_ && (begins_inside || ends_inside)) || (all_dirty != nullptr && !dirty_tracking_)) {
		victims.clear();
		return Error(EINVAL);
	}
	if (all_dirty != nullptr)
		*all_dirty = non_pinned_groups_;
	if (begins_inside) {
		victims.clear();
		return true;
	}
	if (external) {
		victims.clear();
		external->set_leaving(true);
		*pinned = external->range();
		return false;
	}
	for (DmaRange &dma : victims)
		dma.busy.store(true);
	return true;
}

// Devices may pin what could not be unmapped.
void Type1::stay()
{
	const Guard guard(lock_);

	for (DmaRange &dma : dmas_)
		dma.set_leaving(false);
}

void Type1::put_back(List<DmaRange> &victims)
{
	{
		const Guard guard(lock_);

		while (DmaRange *dma = victims.pop_front()) {
			dma->set_leaving(false);
			dma->busy.store(false);
		}
	}
	settled();
}

// Unmaps and forgets what is the caller's; returns the bytes.
u64 Type1::remove(List<DmaRange> &victims)
{
	u64 unmapped = 0;
	u32 count = 0;

	unmap_and_unpin(victims);
	{
		const Guard guard(lock_);

		for (const DmaRange &dma : victims) {
			unmapped += dma.range().size();
			uncount(dma);
			count++;
		}
		if (count == dmas_.size())
			dmas_.clear();
		else
			for (DmaRange &dma : victims)
				dmas_.erase(dma);
		forget_idle_owner();
	}
	settled();
	free_all(victims);
	return unmapped;
}

// The owner is not kept for a process that has left the container to others,
// or gone.
void Type1::forget_idle_owner()
{
	if (dmas_.empty() && last_owner_ && last_owner_->mm() != shim_current_mm())
		last_owner_.reset();
}

// One owner's charges are undone together.
void Type1::free_all(List<DmaRange> &dmas)
{
	constexpr u32 kMany = 32;
	void *memory[kMany];
	RefPtr<Owner> owner;
	u64 charged = 0;
	u32 freed = 0;

	while (DmaRange *dma = dmas.pop_front()) {
		if (&dma->owner() != owner.get()) {
			if (owner)
				owner->uncharge(charged);
			owner = RefPtr<Owner>::share(dma->owner());
			charged = 0;
		}
		charged += dma->forget_charge_to(0);
		dma->~DmaRange();
		memory[freed++] = dma;
		if (freed == kMany || dmas.empty())
			shim_free_many(vfio::exchange(freed, 0u), memory);
	}
	if (owner)
		owner->uncharge(charged);
}

// Pages go only after no device can reach them.
void Type1::unmap_and_unpin(List<DmaRange> &dmas)
{
	if (!hardware())
		return;
	for (Domain &domain : domains_)
		domain.unmap_all(dmas);
	for (DmaRange &dma : dmas) {
		dma.iommu_mapped = false;
		unpin_range(dma);
	}
}

void Type1::remove_all()
{
	List<DmaRange> victims;
	{
		const Guard guard(lock_);

		list_all(victims);
	}
	remove(victims);
}

// All mappings of the range, or none if one is invalid already.
// Errors: EINVAL, EINTR.
Result<u64> Type1::invalidate_vaddr(IovaRange range)
{
	u64 invalidated = 0;

	TRY(settle(range, true));
	if (v2_ && TRY(bisects_mapping(range)))
		return Error(EINVAL);

	DmaRange *const first = first_to_unmap(range);
	for (DmaRange *dma = first; dma; dma = next_in(*dma, range))
		if (dma->vaddr_invalid)
			return Error(EINVAL);
	for (DmaRange *dma = first; dma; dma = next_in(*dma, range)) {
		dma->vaddr_invalid = true;
		vaddr_invalid_count_++;
		invalidated += dma->range().size();
	}
	return invalidated;
}

} // namespace vfio
