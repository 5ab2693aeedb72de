// SPDX-License-Identifier: GPL-2.0
//
// Batch: memory is pinned in batches, so that what is pinned and not recorded
// yet has a bound, and accounting is paid once a batch.
#pragma once

#include "dma/shim/mm.h"
#include "dma/shim/pin.h"
#include "pin_runs.hpp"
#include "vocab/page_array.hpp"

namespace vfio {

inline PinRun run_of(u64 pfn_and_marks, u64 npages)
{
	const Pfn pfn{pfn_and_marks & SHIM_PIN_PFN_MASK};

	if (pfn_and_marks & SHIM_PIN_RESERVED)
		return {pfn, npages, PinKind::kReserved};
	return {pfn, npages, PinKind::kCounted};
}

// Pins from the caller's own address space, or from another one. Protection keys
// do not count, as they restrict only a thread's own loads and stores: where one
// makes shim_pin_own() fail, shim_pin_remote() pins, which looks at no keys.
inline long pin_in(mm_struct *mm, u64 uva, u64 npages, bool dirty, u64 *handles)
{
	if (mm == shim_current_mm()) [[likely]] {
		const long got = shim_pin_own(uva, npages, dirty, handles);

		if (got != -EFAULT) [[likely]]
			return got;
	}
	return shim_pin_remote(mm, uva, npages, dirty, handles);
}

// The most pages that are looked up while the mmap lock is held once.
constexpr u64 kMostBorrowed = (u64{1} << 30) / kPageSize;

// Looks up what could not be pinned at uva, a device's memory for example.
// Returns the contiguous run that begins there, of npages at most.
// Errors: error, which is what pinning returned, if there is no such memory;
// EFAULT for memory that could be pinned.
inline Result<PinRun> borrow(mm_struct *mm, u64 uva, u64 npages, bool dirty, long error)
{
	u64 pfn = 0;
	const long got = shim_follow_pfns(mm, uva, min(npages, kMostBorrowed), dirty, &pfn);

	if (got < 0)
		return Error::from_negative(error);
	if (!(pfn & SHIM_PIN_RESERVED))
		return Error(EFAULT);
	return PinRun({pfn & SHIM_PIN_PFN_MASK}, static_cast<u64>(got), PinKind::kBorrowed);
}

// Pages that were pinned and have no record yet, taken out as runs. What is
// not taken out is unpinned at the end.
class Batch : Immovable {
public:
	// For up to npages in all.
	Batch(mm_struct *mm, bool dirty, u64 npages) : mm_(mm), dirty_(dirty), array_(npages)
	{
	}

	~Batch()
	{
		while (!empty())
			if (const PinRun run = take(); run.pinned())
				shim_unpin(run.first().value, run.npages(), dirty_);
	}

	// Pins up to npages from uva on; the batch is empty. A run without
	// struct pages may be longer than what the array has room for.
	Result<void> fill(UserVa uva, u64 npages)
	{
		const long got =
			pin_in(mm_, uva.value, min(npages, array_.room()), dirty_, array_.pages());

		taken_ = count_ = 0;
		if (got > 0) [[likely]] {
			count_ = static_cast<u64>(got);
			return {};
		}
		borrowed_ = TRY(borrow(mm_, uva.value, npages, dirty_, got));
		return {};
	}

	bool empty() const
	{
		return taken_ == count_ && borrowed_.npages() == 0;
	}

	// The run at the front, which is the caller's then.
	PinRun take()
	{
		if (borrowed_.npages()) [[unlikely]]
			return vfio::exchange(borrowed_, PinRun());

		u64 pfn = 0;
		const u64 npages = shim_page_run(array_.pages() + taken_, count_ - taken_, &pfn);

		taken_ += npages;
		return run_of(pfn, npages);
	}

private:
	mm_struct *const mm_;
	const bool dirty_;
	PageArray array_;
	u64 taken_ = 0;
	u64 count_ = 0;
	PinRun borrowed_;
};

} // namespace vfio
