// SPDX-License-Identifier: GPL-2.0
//
// The results of a pin index: PinnedRuns, pages that were found or unpinned with all
// that the index knows of them; UnpinnedPages, which have only pfns and marks, and
// UnpinnedSpans, which have only offsets.
#pragma once

#include "pin_blocks.hpp"

namespace vfio {

// Pages of contiguous offsets and pfns that are all pinned equally often.
struct PinnedRun {
	// The offset of the first page.
	u64 first;
	u64 npages;
	// The pfn and the mark of the first page; the pfns are contiguous, the marks
	// equal.
	PinPage page;
	// The DMA address of the first page; those of the others follow it. 0 if the
	// index has no DMA addresses.
	u64 dma;
	// How many pins each page has; 0 for pages that were unpinned.
	u64 count;
};

// Up to kRoom runs. Pages that continue the last run are added to it.
class PinnedRuns : Immovable {
public:
	static constexpr u32 kRoom = 16;

	// Returns false if there is no room; nothing was appended then.
	bool push(u64 first, u64 npages, PinPage page, u64 dma, u64 count)
	{
		if (count_) {
			PinnedRun &last = runs_[count_ - 1];

			if (last.page + last.npages == page && last.first + last.npages == first &&
			    last.count == count && last.dma + last.npages * dma_step_ == dma) {
				last.npages += npages;
				npages_ += npages;
				return true;
			}
			if (count_ == kRoom)
				return false;
		}
		runs_[count_++] = {first, npages, page, dma, count};
		npages_ += npages;
		return true;
	}

	// How many pages the runs have in all.
	u64 npages() const
	{
		return npages_;
	}

	void clear()
	{
		count_ = 0;
		npages_ = 0;
	}

	// Called by the index before it appends: whether its pages have DMA addresses.
	void set_dma(bool with_dma)
	{
		dma_step_ = with_dma ? kPageSize : 0;
	}

	const PinnedRun *begin() const
	{
		return runs_;
	}

	const PinnedRun *end() const
	{
		return runs_ + count_;
	}

private:
	PinnedRun runs_[kRoom];
	u64 npages_ = 0;
	u64 dma_step_ = 0;
	u32 count_ = 0;
};

// Up to kRoom spans of offsets whose pages were unpinned. What the pages were is not kept.
class UnpinnedSpans : Immovable {
public:
	struct Span {
		u64 first;
		u64 npages;
	};

	// As PinnedRuns::push(), with the same parameters.
	bool push(u64 first, u64 npages, PinPage, u64, u64)
	{
		if (count_ && spans_[count_ - 1].first + spans_[count_ - 1].npages == first) {
			spans_[count_ - 1].npages += npages;
		} else {
			if (count_ == kRoom)
				return false;
			spans_[count_++] = {first, npages};
		}
		npages_ += npages;
		return true;
	}

	u64 npages() const
	{
		return npages_;
	}

	void clear()
	{
		count_ = 0;
		npages_ = 0;
	}

	void set_dma(bool)
	{
	}

	const Span *begin() const
	{
		return spans_;
	}

	const Span *end() const
	{
		return spans_ + count_;
	}

private:
	static constexpr u32 kRoom = 16;

	Span spans_[kRoom];
	u64 npages_ = 0;
	u32 count_ = 0;
};

// Up to kRoom single pages that were unpinned, and one run. Without offsets and DMA
// addresses, unpinning many single pages is less work than with PinnedRuns.
class UnpinnedPages : Immovable {
public:
	// As PinnedRuns::push(), with the same parameters.
	bool push(u64, u64 npages, PinPage page, u64, u64)
	{
		if (npages > kLongest) {
			if (!push_long(npages, page))
				return false;
		} else {
			if (npages > kRoom - count_)
				return false;
			for (u64 i = 0; i < npages; i++)
				pages_[count_++] = page + i;
		}
		unmarked_ += page.mark() ? 0 : npages;
		return true;
	}

	// Calls visit(page, npages) for the run, if there is one, and each single page.
	template <class F> void for_each(F visit) const
	{
		if (run_npages_)
			visit(run_page_, run_npages_);
		for (u32 i = 0; i < count_; i++)
			visit(pages_[i], u64{1});
	}

	u64 npages() const
	{
		return count_ + run_npages_;
	}

	// How many pages have the mark 0.
	u64 unmarked() const
	{
		return unmarked_;
	}

	void set_dma(bool)
	{
	}

private:
	static constexpr u32 kRoom = 64;
	// More contiguous pages than this are added to the run instead.
	static constexpr u32 kLongest = 8;

	bool push_long(u64 npages, PinPage page)
	{
		if (!run_npages_)
			run_page_ = page;
		else if (run_page_ + run_npages_ != page)
			return false;
		run_npages_ += npages;
		return true;
	}

	PinPage pages_[kRoom];
	PinPage run_page_ = {};
	u64 run_npages_ = 0;
	u64 unmarked_ = 0;
	u32 count_ = 0;
};

} // namespace vfio
