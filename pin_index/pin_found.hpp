// SPDX-License-Identifier: GPL-2.0
//
// What a pin index tells of pages: PinnedRuns say all that there is to say of
// them; PinnedPages, only what they are, in the form in which many are unpinned
// with least work.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

// Pages of contiguous offsets and pfns, all pinned equally often.
struct PinnedRun {
	// The offset of the first.
	u64 first;
	u64 npages;
	// Its pfn and its mark, as it was pinned.
	u64 page;
	// Its DMA address, if the index has them; they are contiguous too.
	u64 dma;
	// How often each is pinned; 0 for those that are not any more.
	u64 count;
};

// A few runs. Those that go on where the last one ends become part of it.
class PinnedRuns : Immovable {
public:
	static constexpr u32 kRoom = 16;
	// Of pages that are unpinned, whether all their pins go at once.
	static constexpr bool kWholly = false;

	// False, and nothing done, if there is no room.
	bool push(u64 first, u64 npages, u64 page, u64 dma, u64 count)
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

		PinnedRun &run = runs_[count_++];
		run.first = first;
		run.npages = npages;
		run.page = page;
		run.dma = dma;
		run.count = count;
		npages_ += npages;
		return true;
	}

	// How many pages the runs have.
	u64 npages() const
	{
		return npages_;
	}

	bool full() const
	{
		return count_ == kRoom;
	}

	void clear()
	{
		count_ = 0;
		npages_ = 0;
	}

	// Of pages that are not pinned any more.
	bool push_gone(u64 first, u64 npages, u64 page, u64 dma)
	{
		return push(first, npages, page, dma, 0);
	}

	// For the index, which tells of many single pages one after the other.
	class Singles : Immovable {
	public:
		explicit Singles(PinnedRuns &runs) : runs_(runs)
		{
		}

		bool push_gone(u64 first, u64 page, u64 dma)
		{
			return runs_.push_gone(first, 1, page, dma);
		}

	private:
		PinnedRuns &runs_;
	};

	// For the index: whether its runs have DMA addresses.
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

// Lets pages go however often they are pinned.
class DroppedRuns : public PinnedRuns {
public:
	static constexpr bool kWholly = true;
};

// One page.
class PinnedPage : Immovable {
public:
	static constexpr bool kWholly = false;

	bool push_gone(u64, u64, u64 page, u64)
	{
		page_ = page;
		return true;
	}

	class Singles : Immovable {
	public:
		explicit Singles(PinnedPage &one) : one_(one)
		{
		}

		bool push_gone(u64, u64 page, u64)
		{
			one_.page_ = page;
			return true;
		}

	private:
		PinnedPage &one_;
	};

	// kPinNone if there is none.
	u64 page() const
	{
		return page_;
	}

private:
	u64 page_ = kPinNone;
};

// An array of single pages, which is the caller's, and one long run.
class PinnedPages : Immovable {
public:
	static constexpr bool kWholly = false;

	PinnedPages(u64 *pages, u32 room) : pages_(pages), room_(room)
	{
	}

	// False, and nothing done, if there is no room.
	bool push_gone(u64, u64 npages, u64 page, u64)
	{
		if (npages > kLongest)
			return push_long(npages, page);
		if (npages > room_ - count_)
			return false;
		for (u64 i = 0; i < npages; i++)
			pages_[count_++] = page + i;
		return true;
	}

	// The same with what it needs at hand.
	class Singles : Immovable {
	public:
		explicit Singles(PinnedPages &all)
			: all_(all), next_(all.pages_ + all.count_), end_(all.pages_ + all.room_)
		{
		}

		~Singles()
		{
			all_.count_ = static_cast<u32>(next_ - all_.pages_);
		}

		bool push_gone(u64, u64 page, u64)
		{
			if (next_ == end_) [[unlikely]]
				return false;
			*next_++ = page;
			return true;
		}

	private:
		PinnedPages &all_;
		u64 *next_;
		u64 *const end_;
	};

	bool full() const
	{
		return count_ + kLongest > room_ || run_npages_;
	}

	void clear()
	{
		count_ = 0;
		run_npages_ = 0;
	}

	// How many pages it has in all.
	u64 npages() const
	{
		return count_ + run_npages_;
	}

	const u64 *pages() const
	{
		return pages_;
	}

	u32 count() const
	{
		return count_;
	}

	// The long run; it may be of no pages.
	u64 run_page() const
	{
		return run_page_;
	}

	u64 run_npages() const
	{
		return run_npages_;
	}

	void set_dma(bool)
	{
	}

private:
	// As single pages they would be unpinned as fast.
	static constexpr u32 kLongest = 8;

	bool push_long(u64 npages, u64 page)
	{
		if (!run_npages_)
			run_page_ = page;
		else if (run_page_ + run_npages_ != page)
			return false;
		run_npages_ += npages;
		return true;
	}

	u64 *const pages_;
	const u32 room_;
	u32 count_ = 0;
	u64 run_page_ = 0;
	u64 run_npages_ = 0;
};

} // namespace vfio
