// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_DIRTY_PAGES: which pages devices may have written.
//
// A group whose devices write memory on their own makes every page dirty all
// the time. If all groups only pin, what is pinned is dirty, and what was
// pinned since the last report.
#include "type1.hpp"

namespace vfio {

namespace {

// Words of a bitmap that are put together before they are copied out.
constexpr u64 kWordsPerCopy = 32;

} // namespace

Result<void> Type1::check_bitmap(u64 npages, u64 size)
{
	if (npages == 0 || npages > DirtyBitmap::kMaxBits || size > DirtyBitmap::kMaxBytes ||
	    size < DirtyBitmap::words_for(npages) * sizeof(u64))
		return Error(EINVAL);
	return {};
}

Result<void> Type1::start_dirty()
{
	const Guard guard(lock_);

	if (dirty_tracking_)
		return {};
	for (DmaRange &dma : dmas_) {
		const Result<void> allocated = allocate_bitmap(dma);

		if (!allocated.ok()) {
			for (DmaRange &other : dmas_)
				other.dirty.release();
			return allocated.error();
		}
		dma.mark_external_dirty(pgshift());
	}
	dirty_tracking_ = true;
	return {};
}

void Type1::stop_dirty()
{
	const Guard guard(lock_);

	dirty_tracking_ = false;
	for (DmaRange &dma : dmas_)
		dma.dirty.release();
}

Result<void> Type1::get_dirty(const vfio_iommu_type1_dirty_bitmap_get &request)
{
	const IovaRange range = TRY(IovaRange::of_size({request.iova}, request.size));
	const Guard guard(lock_);
	const u64 pgsize = u64{1} << pgshift();

	if (request.bitmap.pgsize != pgsize || ((request.iova | request.size) & (pgsize - 1)) ||
	    !dirty_tracking_ || bisects_mapping(range))
		return Error(EINVAL);

	for (DmaRange *dma = dmas_.first_in(range); dma && dma->range().first <= range.last;
	     dma = dmas_.next(*dma)) {
		TRY(report_dirty(*dma, range.first,
				 {reinterpret_cast<u64>(request.bitmap.data)}));
		dma->dirty.clear_all();
		dma->mark_external_dirty(pgshift());
	}
	return {};
}

// Writes the bits of a dma range into a user bitmap whose first bit is for
// base. Bits before the range's own, in the same word, stay as they are;
// those behind them in the last word become clear.
Result<void> Type1::report_dirty(DmaRange &dma, Iova base, UserVa user_bitmap)
{
	constexpr u64 kBitsPerWord = DirtyBitmap::kBitsPerWord;
	const bool all = non_pinned_groups_ && dma.iommu_mapped;
	const u64 nbits = ((dma.range().last - dma.range().first) >> pgshift()) + 1;
	const u64 offset = (dma.range().first - base) >> pgshift();
	const u64 shift = offset % kBitsPerWord;
	const u64 nwords = DirtyBitmap::words_for(nbits + shift);
	UserVa at = user_bitmap + offset / kBitsPerWord * sizeof(u64);
	u64 carry = 0;

	const auto word = [&](u64 index) -> u64 {
		const u64 first = index * kBitsPerWord;

		if (first >= nbits)
			return 0;
		if (!all)
			return dma.dirty.word(index);
		return kU64Max >> (kBitsPerWord - min(kBitsPerWord, nbits - first));
	};

	if (shift) {
		TRY(copy_in(&carry, at, sizeof(carry)));
		carry &= (u64{1} << shift) - 1;
	}

	for (u64 done = 0; done < nwords;) {
		const u64 n = min(kWordsPerCopy, nwords - done);
		u64 words[kWordsPerCopy];

		for (u64 i = 0; i < n; i++) {
			const u64 bits = word(done + i);

			words[i] = carry | bits << shift;
			carry = shift ? bits >> (kBitsPerWord - shift) : 0;
		}
		TRY(copy_out(at, words, n * sizeof(u64)));
		at = at + n * sizeof(u64);
		done += n;
	}
	return {};
}

} // namespace vfio
