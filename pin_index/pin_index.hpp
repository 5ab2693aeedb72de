// SPDX-License-Identifier: GPL-2.0
//
// PinIndex: which pages of a range are pinned, their pfns and how often each is pinned.
// It maps a page's offset, the number of the page in the range, to its pfn, its count,
// and its DMA address if the index is made with with_dma.
//
// Callers pass a page as its pfn, below 2^40, with a mark of their own (pin_page.hpp).
// Offsets are below 2^52. A page can be pinned up to kMostPins times.
//
// 512 pages are a slot. The pages of a slot are kept in the smallest of four forms
// (pin_blocks.hpp), slots in a B+ tree (pin_slot_map.hpp). Functions that pin allocate
// memory; if they return an error, no page has changed. Functions that unpin cannot
// fail.
//
// Locking: the caller's lock guards an index. Const functions need it shared, all others
// exclusively. Indexes have no state in common.
#pragma once

#include "pin_forms.hpp"

namespace vfio {

class PinIndex : Immovable {
public:
	static constexpr unsigned int kOffsetBits = 52;
	static constexpr u64 kLastOffset = (u64{1} << kOffsetBits) - 1;
	static constexpr u64 kMostPins = PinWord::kMostCount;

	explicit PinIndex(bool with_dma = false) : forms_(with_dma)
	{
	}

	~PinIndex()
	{
		clear();
	}

	// Until it is called with null, all memory is taken from the reserve; insert() and
	// pin_again() fail where that has too little. What is allocated is the index's own.
	void draw_from(PinReserve *reserve)
	{
		forms_.draw_from(reserve);
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

	// The memory that the index has allocated.
	u64 bytes() const
	{
		return map_.bytes() + forms_.bytes();
	}

	// How many of npages pages from first on are pinned, up to the first that is not.
	u64 pinned_from(u64 first, u64 npages) const
	{
		return length_from(first, npages, true);
	}

	// How many of npages pages from first on are not pinned, up to the first that is.
	u64 absent_from(u64 first, u64 npages) const
	{
		return length_from(first, npages, false);
	}

	// Compares npages pages from first on with an array, up to the end of the slot. An
	// element of the array is a page that is pinned once, or 0 for one that is not pinned.
	PinDifference compare(u64 first, u64 npages, const PinPage *pages) const
	{
		const SlotPart part(first, npages);

		return forms_.compare(map_.find(part.slot).record, part.lo, part.n, pages);
	}

	// Counts one more pin of each of npages pages from first on, up to the first
	// that is not pinned or the end of the slot. Returns how many pages that were,
	// and writes them to pages. Errors: EOVERFLOW if a page has kMostPins pins
	// already, ENOMEM; no count has changed then. Not inlined into loops over calls:
	// that costs them more registers than the call.
	[[gnu::noinline]] Result<u64> pin_again(u64 first, u64 npages, PinPage *pages)
	{
		const SlotPart part(first, npages);
		SlotRecord *record = map_.find(part.slot).record;

		return record ? forms_.again(*record, part.lo, part.n, pages) : u64{0};
	}

	// Inserts pages, each pinned once. dma has their DMA addresses if the index has
	// those, and is null otherwise. Errors: EINVAL if pages or offsets are out of
	// range, EEXIST if a page is pinned already, ENOMEM; none is inserted then.
	Result<void> insert(u64 first, u64 npages, const PinPage *pages, const u64 *dma = nullptr);

	// insert() for contiguous pages: page and dma are the first one's.
	Result<void> insert_run(u64 first, u64 npages, PinPage page, u64 dma = 0);

	// Takes back one pin, or all pins, of each of npages pages from first on that is
	// pinned. Appends pages without any more pins to gone, which is of one of the
	// classes of pin_found.hpp, until gone is full. Returns how many of npages it
	// went through. Not inlined, as pin_again().
	template <class Gone>
	[[gnu::noinline]] u64 take(u64 first, u64 npages, Taken taken, Gone &gone);

	template <class Gone> u64 unpin(u64 first, u64 npages, Gone &gone)
	{
		return take(first, npages, Taken::kOnePin, gone);
	}

	// Appends what is pinned in [first, last] to out, until out is full. Returns the
	// offset where the next call has to begin, which is past last at the end.
	u64 list(u64 first, u64 last, PinnedRuns &out) const;

	// Calls visit(run) for what is pinned in [first, last], in order. visit() must
	// not change the index.
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

	// Removes all pages.
	void clear();

	// For tests.
	bool invariants_hold() const;

private:
	// The part of [first, first + npages) that is in the slot of first.
	struct SlotPart {
		SlotPart(u64 first, u64 npages)
			: slot(first >> kPinSlotShift), lo(static_cast<u32>(first) % kPinSlotPages),
			  n(static_cast<u32>(min(npages, u64{kPinSlotPages - lo})))
		{
		}

		u64 slot;
		u32 lo;
		u32 n;
	};

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
