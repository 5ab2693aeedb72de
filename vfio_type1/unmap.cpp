// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_UNMAP_DMA: unmapping, and invalidating user addresses.
//
// All mappings of a request are made busy together, then unmapped with one flush,
// then unpinned, then taken out of the tree: a caller who maps the same addresses
// again waits for all of that.
#include "type1.hpp"
#include "vfio_type1/shim/trace.h"

namespace vfio {

namespace {

// How often devices are asked to unpin one mapping. If pages are still pinned then, a
// driver is faulty.
constexpr int kMaxAsked = 10;

constexpr size_t kUnmapSize = OFFSET_END(vfio_iommu_type1_dma_unmap, size);

} // namespace

// Copies in the vfio_bitmap that follows a request for dirty bits, at arg.
// Errors: EINVAL, EFAULT.
[[gnu::noinline]] Result<void> Type1::copy_bitmap_in(const vfio_iommu_type1_dma_unmap &request,
						     UserVa arg, vfio_bitmap *bitmap)
{
	if (request.flags != VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP ||
	    request.argsz < sizeof(request) + sizeof(*bitmap))
		return Error(EINVAL);
	TRY(copy_struct_in<sizeof(*bitmap)>(bitmap, arg));
	return check_bitmap(*bitmap, request.size);
}

// Returns the range that a request names. Errors: EINVAL, EOVERFLOW.
[[gnu::always_inline]] inline Result<IovaRange>
Type1::unmap_bounds(const vfio_iommu_type1_dma_unmap &request)
{
	const u64 page_mask = (u64{1} << pgshift()) - 1;

	if (request.iova & page_mask)
		return Error(EINVAL);
	if (request.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (request.iova || request.size)
			return Error(EINVAL);
		return kAllIova;
	}
	if (request.size & page_mask)
		return Error(EINVAL);
	return IovaRange::of_size({request.iova}, request.size);
}

// Unmaps what is in the range of the request. Returns false if devices must unpin
// a mapping first, and stores its range in pinned.
// Errors: EINVAL, EOVERFLOW, EFAULT, EINTR.
[[gnu::always_inline]] inline Result<bool>
Type1::try_unmap(const vfio_iommu_type1_dma_unmap &request, const vfio_bitmap *bitmap,
		 u64 *unmapped, IovaRange *pinned)
{
	const ReadGuard groups(groups_lock_);
	const IovaRange range = TRY(unmap_bounds(request));
	List<DmaRange> victims;
	bool all_dirty = false;

	if (bitmap && bitmap->pgsize != u64{1} << pgshift())
		return Error(EINVAL);
	if (!TRY(take_victims(range, bitmap ? &all_dirty : nullptr, victims, pinned)))
		return false;

	if (bitmap) {
		const Result<void> reported = report_victims(
			victims, range, {reinterpret_cast<u64>(bitmap->data)}, all_dirty);

		if (!reported.ok()) {
			while (DmaRange *dma = victims.pop_front())
				dmas_.settle(*dma);
			return reported.error();
		}
	}
	*unmapped = unmap(victims);
	return true;
}

// Makes all mappings in the range busy, for the caller to unmap. Returns false if
// devices must unpin one first, and stores its range in pinned; it takes no new
// pins from then on. all_dirty, null unless dirty bits are asked for, is set to
// whether each page counts as dirty. Errors: EINVAL, EINTR.
Result<bool> Type1::take_victims(IovaRange range, bool *all_dirty, List<DmaRange> &victims,
				 IovaRange *pinned)
{
	const Guard guard(dmas_.lock);
	DmaRange *external = TRY(dmas_.list_idle(range, victims));
	const bool begins_inside = !victims.empty() && victims.front()->range().first < range.first;
	const bool ends_inside = !victims.empty() && victims.back()->range().last > range.last;

	// The v2 interface never splits a mapping: the range must cover what it
	// touches. With v1 a mapping is unmapped if its first address is in the
	// range, and a range that begins inside one unmaps nothing.
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
	if (external) [[unlikely]] {
		victims.clear();
		external->leaving = true;
		*pinned = external->range();
		return false;
	}
	DmaTree::make_busy(victims);
	return true;
}

// Returns the bytes that were unmapped. bitmap is null unless the caller asks
// which pages are dirty.
Result<u64> Type1::unmap_range(const vfio_iommu_type1_dma_unmap &request, const vfio_bitmap *bitmap)
{
	IovaRange pinned = {};
	u64 unmapped = 0;
	int asked = 0;

	for (;;) {
		const IovaRange before = pinned;
		Result<bool> done = try_unmap(request, bitmap, &unmapped, &pinned);

		if (done.ok() && done.value()) [[likely]]
			return unmapped;

		const bool first = asked == 0;
		asked = pinned == before ? asked + 1 : 1;
		if (done.ok() &&
		    !WARN_ONCE_IF(asked > kMaxAsked, "a device does not unpin what is unmapped")) {
			const Guard devices(devices_lock_);

			unmap_retries_.add(1);
			shim_device_list_dma_unmap(&devices_, pinned.first.value, pinned.size());
			continue;
		}
		if (!first)
			take_pins_again();
		return done.ok() ? Error(EBUSY) : done.error();
	}
}

Result<void> Type1::unmap_dma(UserVa arg)
{
	vfio_iommu_type1_dma_unmap request;

	TRY(copy_struct_in<kUnmapSize>(&request, arg));

	Result<u64> unmapped = try_unmap_dma(request, arg);

	shim_type1_trace_unmap(&request, unmapped.ok() ? unmapped.value() : 0,
			       unmapped.error().negative());
	return put_user(arg + __builtin_offsetof(vfio_iommu_type1_dma_unmap, size), TRY(unmapped));
}

inline Result<u64> Type1::try_unmap_dma(const vfio_iommu_type1_dma_unmap &request, UserVa arg)
{
	constexpr u32 kFlags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR |
			       VFIO_DMA_UNMAP_FLAG_ALL;

	if (request.argsz < kUnmapSize || (request.flags & ~kFlags))
		return Error(EINVAL);

	vfio_bitmap bitmap;
	const bool wants_dirty = request.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;

	if (wants_dirty)
		TRY(copy_bitmap_in(request, arg + kUnmapSize, &bitmap));
	if (request.flags & VFIO_DMA_UNMAP_FLAG_VADDR)
		return invalidate_vaddr(request);
	return unmap_range(request, wants_dirty ? &bitmap : nullptr);
}

// Lets devices pin again, after an unmap that has asked them to unpin has failed.
void Type1::take_pins_again()
{
	const Guard guard(dmas_.lock);

	for (DmaRange &dma : dmas_.all())
		dma.leaving = false;
}

// Ends busy mappings: takes them out of all domains, then unpins and frees them.
// Returns their size in bytes.
u64 Type1::unmap(List<DmaRange> &dmas)
{
	domains_.unmap(dmas);
	return dmas_.remove(dmas);
}

// The caller has groups_lock_ alone, so that no mapping is busy. None is held: a
// group without an open device is the last, or none is left.
void Type1::unmap_everything()
{
	List<DmaRange> all;
	{
		const Guard guard(dmas_.lock);

		dmas_.list_all(all);
	}
	unmap(all);
}

// VFIO_DMA_UNMAP_FLAG_VADDR: the user addresses of all mappings in the range are
// not valid any more, or of none if one of them is invalid already. Returns the
// size of the mappings in bytes. Errors: EBUSY, EINVAL, EOVERFLOW, EINTR.
Result<u64> Type1::invalidate_vaddr(const vfio_iommu_type1_dma_unmap &request)
{
	const ReadGuard groups(groups_lock_);

	// Devices of emulated groups pin page by page, and need the addresses at
	// any time.
	if (!emulated_groups_.empty())
		return Error(EBUSY);

	const IovaRange range = TRY(unmap_bounds(request));
	const Guard guard(dmas_.lock);
	u64 invalidated = 0;

	TRY(dmas_.wait_idle(range));
	if (v2_ && TRY(dmas_.bisects(range)))
		return Error(EINVAL);

	DmaRange *first = dmas_.first_in(range);
	// As for unmapping with v1: take_victims().
	if (first && first->range().first < range.first)
		first = nullptr;
	for (DmaRange *dma = first; dma; dma = dmas_.next_in(*dma, range))
		if (dma->vaddr_invalid)
			return Error(EINVAL);
	for (DmaRange *dma = first; dma; dma = dmas_.next_in(*dma, range)) {
		dmas_.invalidate_vaddr(*dma);
		invalidated += dma->range().size();
	}
	return invalidated;
}

} // namespace vfio
