// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_DIRTY_PAGES: which pages devices may have written.
//
// While a group's devices may write any memory, every page that is mapped for it
// counts as dirty, and nothing is recorded. If all groups only pin, the pages are
// dirty that are pinned, or have been unpinned or written since the last report.
#include "dma/dirty_report.hpp"
#include "type1.hpp"
#include "vfio_type1/shim/trace.h"

namespace vfio {

Result<void> Type1::dirty_pages(UserVa arg)
{
	u32 flags = 0;
	const Result<void> result = try_dirty_pages(&flags, arg);

	shim_type1_trace_dirty(flags, result.negative());
	return result;
}

// *flags is set to those of the request, if it could be copied in.
inline Result<void> Type1::try_dirty_pages(u32 *flags, UserVa arg)
{
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dirty_bitmap, flags);
	alignas(u64) vfio_iommu_type1_dirty_bitmap dirty;
	vfio_iommu_type1_dirty_bitmap_get request;

	if (!v2_)
		return Error(EACCES);
	TRY(copy_struct_in<kSize>(&dirty, arg));
	*flags = dirty.flags;
	if (dirty.argsz < kSize)
		return Error(EINVAL);

	switch (dirty.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return start_dirty();
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		stop_dirty();
		return {};
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		if (dirty.argsz - kSize < sizeof(request))
			return Error(EINVAL);
		TRY(copy_struct_in<sizeof(request)>(&request, arg + kSize));
		TRY(check_bitmap(request.bitmap, request.size));
		return get_dirty(request);
	default:
		return Error(EINVAL);
	}
}

Result<void> Type1::check_bitmap(const vfio_bitmap &bitmap, u64 size)
{
	if (!shim_access_ok(reinterpret_cast<u64>(bitmap.data), bitmap.size) || !bitmap.pgsize)
		return Error(EINVAL);
	return check_bitmap_size(size >> smallest_shift(bitmap.pgsize), bitmap.size);
}

Result<void> Type1::check_bitmap_size(u64 npages, u64 size)
{
	if (npages == 0 || npages > DirtyBitmap::kMaxBytes * 8 || size > DirtyBitmap::kMaxBytes ||
	    size < DirtyBitmap::words_for(npages) * sizeof(u64))
		return Error(EINVAL);
	return {};
}

Result<void> Type1::start_dirty()
{
	const Guard guard(dmas_.lock);

	if (dmas_.oversized())
		return Error(EINVAL);
	dirty_tracking_ = true;
	return {};
}

void Type1::stop_dirty()
{
	const Guard guard(dmas_.lock);

	dirty_tracking_ = false;
	for (DmaRange &dma : dmas_.all())
		dma.forget_dirty();
}

Result<void> Type1::get_dirty(const vfio_iommu_type1_dirty_bitmap_get &request)
{
	const IovaRange range = TRY(IovaRange::of_size({request.iova}, request.size));
	const ReadGuard groups(groups_lock_);
	const u64 pgsize = u64{1} << pgshift();

	if (request.bitmap.pgsize != pgsize || ((request.iova | request.size) & (pgsize - 1)))
		return Error(EINVAL);
	{
		const Guard guard(dmas_.lock);

		if (TRY(dmas_.bisects(range)) || !dirty_tracking_)
			return Error(EINVAL);
	}

	DirtyReport report(range, pgshift(), {reinterpret_cast<u64>(request.bitmap.data)});
	IovaRange left = range;
	bool more = true;

	while (more) {
		const IovaRange before = left;
		IovaRange ones = {};

		more = TRY(collect(report, left, &ones));

		Result<void> written = report.write();
		if (written.ok() && ones != IovaRange{})
			written = report.write_ones(ones);
		if (!written.ok()) {
			mark_again(before);
			return written;
		}
	}
	return {};
}

// Collects one piece of the report: the dirty pages from left.first on go into
// report, or whole words of which all bits are set into ones, and count as
// reported. Sets left to what remains; returns false if nothing does. Others may
// map and unmap between two pieces: each shows the state when it is collected.
// Errors: EINVAL if tracking has been stopped, EINTR.
Result<bool> Type1::collect(DirtyReport &report, IovaRange &left, IovaRange *ones)
{
	const Guard guard(dmas_.lock);

	if (!dirty_tracking_)
		return Error(EINVAL);
	for (DmaRange *dma = dmas_.first_in(left); dma; dma = dmas_.next_in(*dma, left)) {
		// A mapping that was made since the last piece may begin before
		// left, or end behind it.
		IovaRange part{max(left.first, dma->range().first),
			       min(left.last, dma->range().last)};

		if (dma->busy.load()) [[unlikely]] {
			if (report.empty())
				TRY(dmas_.wait_settled(part));
			left.first = part.first;
			return true;
		}

		// Adjacent mappings that are dirty as a whole are reported together.
		const bool all = non_pinned_groups_ && dma->iommu_mapped;
		if (all && !dma->dirty_recorded()) {
			for (DmaRange *next = dmas_.next_in(*dma, left);
			     next && next->range().first - part.last == 1 && !next->busy.load() &&
			     next->iommu_mapped && !next->dirty_recorded();
			     next = dmas_.next_in(*dma, left)) {
				dma = next;
				part.last = min(left.last, dma->range().last);
			}
		}

		IovaRange reported = part;
		if (all && report.whole_words(part, &reported)) {
			*ones = reported;
		} else if (!report.add(*dma, part, all, &reported.last)) {
			left.first = part.first;
			return true;
		}
		dma->clear_dirty(reported, pgshift());
		if (reported.last != part.last || (*ones).last == reported.last) {
			if (reported.last == left.last)
				return false;
			left.first = reported.last + 1;
			return true;
		}
	}
	return false;
}

// Writing a report failed after bits had been cleared. The next report says that all
// of the range is dirty, which is too much, but not too little.
void Type1::mark_again(IovaRange range)
{
	const Guard guard(dmas_.lock);

	for (DmaRange *dma = dmas_.first_in(range); dma; dma = dmas_.next_in(*dma, range))
		dma->mark_all_dirty();
}

// Writes which pages of victims are dirty to the bitmap of a request for range.
// The caller is about to unmap the victims; they are busy, so that nobody else
// changes them. all: whether each page that is mapped counts as dirty.
// Errors: EFAULT, EINVAL if tracking has been stopped.
[[gnu::noinline]] Result<void> Type1::report_victims(const List<DmaRange> &victims, IovaRange range,
						     UserVa bitmap, bool all)
{
	DirtyReport report(range, pgshift(), bitmap);
	const DmaRange *dma = victims.front();
	IovaRange left = dma ? dma->range() : IovaRange{};

	while (dma) {
		IovaRange ones = {};

		{
			const Guard guard(dmas_.lock);

			// dmas_.lock guards the dirty bits even of a busy mapping:
			// stop_dirty() frees them.
			if (!dirty_tracking_)
				return Error(EINVAL);
			dma = collect_victims(victims, dma, report, left, all, &ones);
		}
		TRY(report.write());
		if (ones != IovaRange{})
			TRY(report.write_ones(ones));
	}
	return {};
}

// Collects one piece of the report of victims: the dirty pages of dma that lie in
// left, then those of the mappings after it. Whole words of which all bits are
// set go into ones, and end the piece. Returns the mapping with which the next
// piece begins, and sets left to what remains of it; returns nullptr after the
// last piece.
const DmaRange *Type1::collect_victims(const List<DmaRange> &victims, const DmaRange *dma,
				       DirtyReport &report, IovaRange &left, bool all,
				       IovaRange *ones)
{
	while (dma && *ones == IovaRange{}) {
		const bool whole = all && dma->iommu_mapped;
		Iova last = left.last;

		if (whole && report.whole_words(left, ones))
			last = ones->last;
		else if (!report.add(*dma, left, whole, &last))
			break;
		if (last != left.last) {
			left.first = last + 1;
			continue;
		}
		dma = victims.next(*dma);
		if (dma)
			left = dma->range();
	}
	return dma;
}

} // namespace vfio
