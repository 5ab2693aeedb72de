// SPDX-License-Identifier: GPL-2.0
//
// Batch: pages that have been pinned together and are not in a record yet. Pinning
// in batches bounds their number, and the owner is charged once a batch.
#pragma once

#include "dma/shim/mm.h"
#include "dma/shim/pin.h"
#include "pin_runs.hpp"
#include "vocab/page_array.hpp"

namespace vfio {

// Pins up to npages pages from uva on, of the caller's address space or another
// one. Returns how many pages it has pinned, or a negative errno. Protection keys
// are ignored, as they restrict only a thread's own loads and stores: where a key
// makes shim_pin_own() fail, shim_pin_remote() pins, which checks no keys.
inline long pin_in(mm_struct *mm, u64 uva, u64 npages, bool dirty, PageHandle *handles)
{
	if (mm == shim_current_mm()) [[likely]] {
		const long got = shim_pin_own(uva, npages, dirty, &handles->value);

		if (got != -EFAULT) [[likely]]
			return got;
	}
	return shim_pin_remote(mm, uva, npages, dirty, &handles->value);
}

// Returns how many of count pinned pages are contiguous and of one kind, from the first
// on, which is stored in first.
inline u64 page_run(const PageHandle *handles, u64 count, PinPage &first)
{
	return shim_page_run(&handles->value, count, &first.value);
}

// The most pages that are looked up while the mmap lock is held once.
constexpr u64 kMostBorrowed = (u64{1} << 30) / kPageSize;

// Looks up memory without struct pages at uva, a device's for example, which
// pinning has refused with error. Returns the contiguous run that begins there, of
// npages pages at most.
// Errors: error if there is no such memory, EFAULT for memory that can be pinned.
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

// Pages come out of a batch as contiguous runs. The destructor unpins those that
// have not been taken out.
class Batch : Immovable {
public:
	// npages: how many pages will be pinned in all, in this batch and later.
	Batch(mm_struct *mm, bool dirty, u64 npages) : mm_(mm), dirty_(dirty), array_(npages)
	{
	}

	~Batch()
	{
		while (!empty())
			if (const PinRun run = take(); run.pinned())
				shim_unpin(run.first().value, run.npages(), dirty_);
	}

	// Pins up to npages pages from uva on. Requires that the batch is empty. A
	// run of memory without struct pages takes no room in the array, and may be
	// longer than it.
	Result<void> fill(UserVa uva, u64 npages)
	{
		const long got = pin_in(mm_, uva.value, min(npages, array_.room()), dirty_,
					array_.entries());

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

	// Returns the first run, which the caller owns from then on. Requires that the
	// batch is not empty.
	PinRun take()
	{
		if (borrowed_.npages()) [[unlikely]]
			return vfio::exchange(borrowed_, PinRun());

		PinPage first = {};
		const u64 npages = page_run(array_.entries() + taken_, count_ - taken_, first);

		taken_ += npages;
		return {first, npages};
	}

private:
	mm_struct *const mm_;
	const bool dirty_;
	PageArray<PageHandle> array_;
	u64 taken_ = 0;
	u64 count_ = 0;
	PinRun borrowed_;
};

} // namespace vfio
