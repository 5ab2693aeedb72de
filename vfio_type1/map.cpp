// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_MAP_DMA: mapping memory, and giving mappings new user addresses.
#include "dma/pinner.hpp"
#include "entry.h"
#include "type1.hpp"

namespace vfio {

DmaRange *Type1::unsettled(IovaRange range, bool idle) const
{
	for (DmaRange *dma = dmas_.first_in(range); dma; dma = next_in(*dma, range))
		if (dma->busy.load() || (idle && dma->held))
			return dma;
	return nullptr;
}

Result<void> Type1::settle(IovaRange range, bool idle)
{
	if (!unsettled(range, idle)) [[likely]]
		return {};

	// Whoever settles a mapping from now on sees that somebody waits, or is
	// seen to have settled it.
	Result<void> result;
	waiting_.add(1);
	while (result.ok() && unsettled(range, idle))
		if (!settled_.wait(lock_))
			result = Error(EINTR);
	waiting_.add(-1);
	return result;
}

void Type1::wake_waiting()
{
	const Guard guard(lock_);

	settled_.wake_all();
}

Result<void> Type1::map_dma(UserVa arg)
{
	constexpr u32 kFlags =
		VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dma_map, size);
	vfio_iommu_type1_dma_map map;

	TRY(copy_struct_in<kSize>(&map, arg));
	if (map.argsz < kSize || (map.flags & ~kFlags))
		return Error(EINVAL);

	const IovaRange range = TRY(IovaRange::of_size({map.iova}, map.size));
	const UserVa uva{map.vaddr};
	const bool set_vaddr = map.flags & VFIO_DMA_MAP_FLAG_VADDR;
	u32 prot = 0;

	(void)TRY(Range<UserVa>::of_size(uva, map.size));
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= SHIM_IOMMU_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= SHIM_IOMMU_WRITE;
	if ((prot != 0) == set_vaddr)
		return Error(EINVAL);

	const ReadGuard groups(groups_lock_);

	if ((map.iova | map.vaddr | map.size) & ((u64{1} << pgshift()) - 1))
		return Error(EINVAL);
	if (set_vaddr)
		return restore_vaddr(range, uva);
	return create_mapping(range, uva, prot);
}

Result<void> Type1::restore_vaddr(IovaRange range, UserVa uva)
{
	const Guard guard(lock_);

	TRY(settle(range, true));

	DmaRange *dma = dmas_.first_in(range);
	if (!dma)
		return Error(ENOENT);
	if (!dma->vaddr_invalid || dma->range() != range)
		return Error(EINVAL);

	RefPtr<Owner> owner = last_owner_;
	TRY(Owner::of_caller(owner));

	const Result<void> changed = dma->change_owner(owner, uva);
	if (changed.error() == Error(ENOMEM))
		owner->log_enomem(any_group(), "keep", dma->charged(), true);
	TRY(changed);
	last_owner_ = vfio::move(owner);
	dma->vaddr_invalid = false;
	vaddr_invalid_count_--;
	return {};
}

Result<void> Type1::create_mapping(IovaRange range, UserVa uva, u32 prot)
{
	UniquePtr<DmaRange> made = TRY(make<DmaRange>(range, uva, prot));

	TRY(insert_busy(*made));

	// It is in the tree, and nobody else's.
	DmaRange &dma = *made.release();
	const Result<void> mapped = hardware() ? pin_and_map(dma) : Result<void>();

	if (mapped.ok()) [[likely]] {
		dma.busy.store(false);
		settled();
		return {};
	}
	{
		const Guard guard(lock_);

		forget(dma);
	}
	settled();
	destroy(&dma);
	return mapped;
}

// Its place in the tree apart.
void Type1::uncount(const DmaRange &dma)
{
	vaddr_invalid_count_ -= dma.vaddr_invalid;
	oversized_ -= dma.range().npages() > DirtyBitmap::kMaxBits;
	dma_avail_++;
}

void Type1::forget(DmaRange &dma)
{
	uncount(dma);
	dmas_.erase(dma);
}

// What can be known to be wrong is found before any page is pinned.
// Errors: EEXIST, ENOSPC, EINVAL, ENODEV in a kthread, ENOMEM, EINTR.
Result<void> Type1::insert_busy(DmaRange &dma)
{
	const IovaRange range = dma.range();
	const bool oversized = range.npages() > DirtyBitmap::kMaxBits;
	const Guard guard(lock_);

	while (!dmas_.insert(dma)) {
		if (!unsettled(range, false))
			return Error(EEXIST);
		TRY(settle(range, false));
	}

	const Result<void> accepted = accept(dma, oversized);
	if (!accepted.ok()) {
		dmas_.erase(dma);
		return accepted;
	}
	dma_avail_--;
	oversized_ += oversized;
	dma.busy.store(true);
	return {};
}

Result<void> Type1::accept(DmaRange &dma, bool oversized)
{
	if (dma_avail_ == 0)
		return Error(ENOSPC);
	if (!space_.valid(dma.range()) || (oversized && dirty_tracking_))
		return Error(EINVAL);

	TRY(Owner::of_caller(last_owner_));
	dma.set_owner(last_owner_);
	return {};
}

Result<void> Type1::pin_and_map(DmaRange &dma)
{
	TRY(pin_range(dma, any_group(), type1_param_pin_workers()));
	for (Domain &domain : domains_) {
		const Result<void> mapped = domain.map(dma, type1_param_disable_hugepages());
		if (mapped.ok())
			continue;

		for (Domain *earlier = domains_.prev(domain); earlier;
		     earlier = domains_.prev(*earlier))
			earlier->unmap(dma);
		unpin_range(dma);
		return mapped;
	}
	dma.iommu_mapped = true;
	return {};
}

} // namespace vfio
