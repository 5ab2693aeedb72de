// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_MAP_DMA: mapping memory, and giving mappings new user addresses.
#include "entry.h"
#include "type1.hpp"
#include "vfio_type1/shim/trace.h"

namespace vfio {

namespace {

constexpr size_t kMapSize = OFFSET_END(vfio_iommu_type1_dma_map, size);

} // namespace

Result<void> Type1::map_dma(UserVa arg)
{
	vfio_iommu_type1_dma_map map;

	TRY(copy_struct_in<kMapSize>(&map, arg));

	const Result<void> mapped = try_map(map);

	shim_type1_trace_map(&map, mapped.negative());
	return mapped;
}

inline Result<void> Type1::try_map(const vfio_iommu_type1_dma_map &map)
{
	constexpr u32 kFlags =
		VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;

	if (map.argsz < kMapSize || (map.flags & ~kFlags))
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

// Errors: ENOENT, EINVAL if range is not a mapping without a valid address, those
// of DmaTree::restore_vaddr().
Result<void> Type1::restore_vaddr(IovaRange range, UserVa uva)
{
	const Guard guard(dmas_.lock);

	TRY(dmas_.wait_idle(range));

	DmaRange *dma = dmas_.first_in(range);
	if (!dma)
		return Error(ENOENT);
	if (!dma->vaddr_invalid || dma->range() != range)
		return Error(EINVAL);
	return dmas_.restore_vaddr(*dma, uva, domains_.any_group());
}

Result<void> Type1::create_mapping(IovaRange range, UserVa uva, u32 prot)
{
	UniquePtr<DmaRange> made = TRY(make<DmaRange>(range, uva, prot));

	TRY(insert_busy(*made));

	// The tree owns it now.
	DmaRange &dma = *made.release();
	const Result<void> mapped =
		domains_.empty() ? Result<void>() : domains_.map(dma, map_policy());

	if (mapped.ok()) [[likely]] {
		dmas_.settle(dma);
		return {};
	}

	dmas_.remove_failed(dma);
	return mapped;
}

// Errors: those of DmaTree::insert_busy(), and EINVAL if not all of the range may
// be mapped, or it has too many pages for a dirty bitmap and dirty pages are
// tracked.
Result<void> Type1::insert_busy(DmaRange &dma)
{
	const IovaRange range = dma.range();
	const Guard guard(dmas_.lock);

	TRY(dmas_.insert_busy(dma));
	if (domains_.space().valid(range) && !(dirty_tracking_ && DmaTree::oversized(range)))
		[[likely]]
		return {};
	dmas_.take_back(dma);
	return Error(EINVAL);
}

// What the module's parameters say now.
MapPolicy Type1::map_policy() const
{
	return {.small_pages = type1_param_disable_hugepages(),
		.workers = type1_param_pin_workers(),
		.borrow = &frames_};
}

} // namespace vfio
