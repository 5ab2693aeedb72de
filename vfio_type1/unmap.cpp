// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_UNMAP_DMA: unmapping, and invalidating user addresses.
#include "pinner.hpp"
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

bool Type1::bisects_mapping(IovaRange range) const
{
	const DmaRange *first = dmas_.find(range.first);
	const DmaRange *last = dmas_.find(range.last);

	return (first && first->range().first != range.first) ||
	       (last && last->range().last != range.last);
}

Result<u64> Type1::unmap_dma(const vfio_iommu_type1_dma_unmap &unmap, const vfio_bitmap &bitmap)
{
	const bool invalidate = unmap.flags & VFIO_DMA_UNMAP_FLAG_VADDR;
	const bool get_dirty = unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
	Guard guard(lock_);

	// A device that pins page by page needs the addresses at any time.
	if (invalidate && !emulated_groups_.empty())
		return Error(EBUSY);

	const IovaRange range = TRY(unmap_bounds(unmap));
	if (get_dirty && (!dirty_tracking_ || bitmap.pgsize != u64{1} << pgshift()))
		return Error(EINVAL);

	// The v2 interface never splits a mapping: what the range touches it
	// must cover. With v1 a mapping goes if its first address is in the
	// range, and a range that begins inside one unmaps nothing.
	if (v2_ && bisects_mapping(range))
		return Error(EINVAL);
	if (invalidate)
		return invalidate_vaddr(range);

	u64 unmapped = 0;
	int asked = 0;
	while (DmaRange *dma = dmas_.first_in(range)) {
		const IovaRange victim = dma->range();

		if (!v2_ && victim.first < range.first)
			break;

		if (dma->has_external()) {
			if (WARN_ONCE_IF(++asked > kMaxAsked,
					 "a device does not unpin what is unmapped"))
				return Error(EBUSY);

			guard.unlock();
			{
				const Guard devices(devices_lock_);
				shim_device_list_dma_unmap(&devices_, victim.first.value,
							   victim.size());
			}
			guard.lock();

			// Without the lock anything may have come or gone.
			if (v2_ && bisects_mapping(range))
				return Error(EINVAL);
			continue;
		}

		asked = 0;
		if (get_dirty)
			TRY(report_dirty(*dma, range.first, {reinterpret_cast<u64>(bitmap.data)}));
		remove(*dma);
		unmapped += victim.size();
	}
	return unmapped;
}

// All mappings of the range, or none if one is invalid already.
Result<u64> Type1::invalidate_vaddr(IovaRange range)
{
	const RangeTree<DmaRange> *const dmas = &dmas_;
	const auto next_in = [&](const DmaRange &dma) {
		DmaRange *next = dmas->next(dma);
		return next && next->range().first <= range.last ? next : nullptr;
	};
	DmaRange *first = dmas_.first_in(range);
	u64 invalidated = 0;

	if (!v2_ && first && first->range().first < range.first)
		first = nullptr;
	for (DmaRange *dma = first; dma; dma = next_in(*dma))
		if (dma->vaddr_invalid)
			return Error(EINVAL);
	for (DmaRange *dma = first; dma; dma = next_in(*dma)) {
		dma->vaddr_invalid = true;
		vaddr_invalid_count_++;
		invalidated += dma->range().size();
	}
	return invalidated;
}

// Pages go only after no device can reach them.
void Type1::unmap_from_domains(DmaRange &dma)
{
	if (!dma.iommu_mapped)
		return;
	for (Domain &domain : domains_)
		domain.unmap(dma);
	dma.iommu_mapped = false;
	unpin_range(dma);
}

void Type1::remove(DmaRange &dma)
{
	dmas_.erase(dma);
	unmap_from_domains(dma);
	vaddr_invalid_count_ -= dma.vaddr_invalid;
	dma_avail_++;
	destroy(&dma);
}

void Type1::remove_all()
{
	while (DmaRange *dma = dmas_.first())
		remove(*dma);
}

} // namespace vfio
