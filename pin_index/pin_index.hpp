// SPDX-License-Identifier: GPL-2.0
//
// PinIndex: which pages of a dma range are pinned, what they are and how
// often. It maps the offset of a page in the range to its pfn and a count, and
// a DMA address if it was made for that.
//
// A page is given as its pfn, below 2^40, and two bits of the caller's in bits
// 62 and 63, its mark. Offsets are below 2^52. Counts reach kMostPins.
//
// Each 512 pages are a slot that is kept in the form that is smallest for what
// is there (pin_blocks.hpp), found in O(log slots) (pin_slot_map.hpp). What
// pins takes memory and may fail, and then leaves all pages as they were. What
// unpins does not fail, and takes memory only when more runs are broken up at
// one time than there are spares for.
//
// Locking: the caller's. Const functions may run at one time under a shared
// lock, all others alone. Indexes share nothing.
#pragma once

#include "pin_forms.hpp"

namespace vfio {

class PinIndex : Immovable {
public:
	static constexpr unsigned int kOffsetBits = 52;
	static constexpr u64 kLastOffset = (u64{1} << kOffsetBits) - 1;
	static constexpr u64 kMostPins = kPinMostCount;

	explicit PinIndex(bool with_dma = false) : forms_(with_dma)
	{
	}

	~PinIndex()
	{
		clear();
	}

	bool empty() const
	{
		return npages_ == 0;
	}

	// How many pages are pinned.
	u64 npages() const
	{
		return npages_;
	}

	// Memory that it takes beside itself.
	u64 bytes() const
	{
		return map_.bytes() + forms_.bytes();
	}

	// One page; npages is 0 if it is not pinned.
	PinnedRun find(u64 offset) const;

	// How many pages from first on, of npages, are pinned one after the
	// other; or are not.
	u64 pinned_from(u64 first, u64 npages) const
	{
		return length_from(first, npages, true);
	}

	u64 absent_from(u64 first, u64 npages) const
	{
		return length_from(first, npages, false);
	}

	// Pins once more what is pinned from first on, up to npages, the first page
	// that is not pinned, or the end of the slot. Returns how many pages, and
	// writes what they are to pages. Errors: EOVERFLOW if one is pinned too
	// often, ENOMEM; nothing is pinned then.
	Result<u64> pin_again(u64 first, u64 npages, u64 *pages)
	{
		const u32 place = static_cast<u32>(first) % kPinSlotPages;
		const u32 n = static_cast<u32>(min(npages, u64{kPinSlotPages - place}));
		SlotRecord *record = map_.find(first >> kPinSlotShift).record;

		return record ? forms_.again(*record, place, n, pages) : u64{0};
	}

	// Inserts pages that are not pinned yet, pinned once; all or none.
	// dma has their addresses, if the index has them.
	// Errors: EINVAL for pages and offsets that are out of range, EEXIST,
	// ENOMEM.
	Result<void> insert(u64 first, u64 npages, const u64 *pages, const u64 *dma = nullptr);

	// The same of contiguous pages.
	Result<void> insert_run(u64 first, u64 npages, u64 page, u64 dma = 0);

	// Both: pins what is there once more, whatever it is, and inserts the
	// rest; all or none. pages become what is pinned then.
	// Errors: as both.
	Result<void> pin(u64 first, u64 npages, u64 *pages, const u64 *dma = nullptr);

	// Takes back one pin, or all pins, of each page of npages from first on that
	// is pinned. Appends pages that are not pinned any more to gone, which is of
	// PinnedRuns or UnpinnedPages, and stops when it is full. Returns how many
	// pages it went through.
	template <class Gone> u64 take(u64 first, u64 npages, Taken taken, Gone &gone);

	template <class Gone> u64 unpin(u64 first, u64 npages, Gone &gone)
	{
		return take(first, npages, Taken::kOnePin, gone);
	}

	// Appends what is pinned in [first, last] to out. Stops when that has
	// no more room; returns the offset where to go on, past last at the
	// end.
	u64 list(u64 first, u64 last, PinnedRuns &out) const;

	// Calls visit(run) for what is pinned in [first, last], in order. The
	// index may not be changed meanwhile.
	template <class F> void for_each(u64 first, u64 last, F visit) const
	{
		PinnedRuns found;

		last = min(last, kLastOffset);
		while (first <= last) {
			found.clear();
			first = list(first, last, found);
			for (const PinnedRun &run : found)
				visit(run);
		}
	}

	// Forgets all pages.
	void clear();

	// For tests.
	bool invariants_hold() const;

private:
	static bool in_range(u64 first, u64 npages)
	{
		return npages && first <= kLastOffset && npages - 1 <= kLastOffset - first;
	}

	u64 length_from(u64 first, u64 npages, bool pinned) const;
	u64 to_next_record(u64 first, u64 npages) const;
	template <class F> Result<void> insert_slots(u64 first, u64 npages, F piece_at);
	Result<void> insert_piece(u64 slot, const PinPiece &piece);
	void undo(u64 first, u64 npages);

	SlotMap map_;
	PinForms forms_;
	u64 npages_ = 0;
};

} // namespace vfio
