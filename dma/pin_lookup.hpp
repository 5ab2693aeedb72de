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
	// mapping.
	PinRun from(u64 page) const;

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

	Mark first_ = {};
	// Null if first_ alone says it.
	Mark *marks_ = nullptr;
	// For each part, and for the end of the last, the number of a mark.
	u32 *parts_ = nullptr;
	// A part has 1 << part_shift_ pages.
	unsigned int part_shift_ = 0;
};

} // namespace vfio
