// SPDX-License-Identifier: GPL-2.0
//
// PinLookup: finds a page of a mapping in the record of its pins (PinRuns) by the
// page's index. The record is not changed as long as the lookup exists.
//
// It keeps a mark at every kStep runs, and divides the mapping into as many equal parts as
// there are marks: for each it keeps the last mark at or before its first page. A search is among the
// marks of one part, of which there are few unless runs differ much. That is 20 bytes for
// kStep runs, and nothing for a record with few runs.
#pragma once

#include "pin_runs.hpp"
#include "vocab/memory.hpp"

namespace vfio {

class PinLookup : Immovable {
public:
	// Errors: ENOMEM.
	static Result<UniquePtr<PinLookup>> of(const PinRuns &runs);

	PinLookup() = default;

	~PinLookup()
	{
		shim_vfree(marks_);
		shim_vfree(parts_);
	}

	// Returns the run that has a page, from this page on. The page is inside the
	// mapping. It is inline, as a refresh calls it for each page.
	PinRun from(u64 page) const
	{
		const Mark *const mark = marks_ ? last_mark_at(page) : &first_;
		const PinRun *run = mark->runs;
		u64 into = page - mark->page;

		while (into >= run->npages())
			into -= (run++)->npages();
		return {run->first_page() + into, run->npages() - into};
	}

private:
	static constexpr u32 kStep = 4;
	static constexpr u64 kMostBytes = u64{1} << 30;

	// Runs that lie one after the other in memory, up to the next mark; page is the
	// number of the first page of the first.
	struct Mark {
		u64 page;
		const PinRun *runs;
	};

	Result<void> divide(u64 npages, u64 marks);

	// The last mark that is not behind a page.
	const Mark *last_mark_at(u64 page) const
	{
		const u32 *const part = parts_ + (page >> part_shift_);
		const Mark *low = marks_ + part[0];
		const Mark *high = marks_ + part[1];

		// A part seldom has more than two.
		while (high - low > 2) {
			const Mark *const middle = low + (high - low) / 2;

			if (middle->page <= page)
				low = middle;
			else
				high = middle - 1;
		}
		while (low < high && low[1].page <= page)
			low++;
		return low;
	}

	Mark first_ = {};
	// Null if first_ alone says it.
	Mark *marks_ = nullptr;
	// For each part, and for the end of the last, the number of a mark.
	u32 *parts_ = nullptr;
	// A part has 1 << part_shift_ pages.
	unsigned int part_shift_ = 0;
};

} // namespace vfio
