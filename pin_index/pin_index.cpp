// SPDX-License-Identifier: GPL-2.0
#include "pin_index.hpp"

namespace vfio {

u64 PinIndex::length_from(u64 first, u64 npages, bool pinned) const
{
	u64 done = 0;

	while (done < npages) {
		const SlotPart part(first + done, npages - done);
		const SlotRecord *record = map_.find(part.slot).record;

		if (!record) {
			if (pinned)
				break;
			done += to_next_record(first + done, npages - done);
			continue;
		}

		const u32 found = pinned ? forms_.pinned_from(*record, part.lo, part.n) :
					   forms_.absent_from(*record, part.lo, part.n);
		done += found;
		if (found < part.n)
			break;
	}
	return done;
}

// How many of npages pages from first on are before the next slot that has pins.
u64 PinIndex::to_next_record(u64 first, u64 npages) const
{
	const SlotRecord *record = map_.first_from(first >> kPinSlotShift);

	return record ? min(npages, (record->slot() << kPinSlotShift) - first) : npages;
}

Result<void> PinIndex::insert_piece(u64 slot, const PinPiece &piece)
{
	const SlotMap::Spot spot = map_.find(slot);
	SlotRecord *record = spot.record;

	if (!record)
		record = TRY(map_.insert(spot, slot, forms_.reserve()));

	const Result<void> inserted = forms_.insert(*record, piece);
	if (inserted.ok())
		npages_ += piece.n;
	else if (!record->value)
		map_.erase(map_.find(slot));
	return inserted;
}

// Inserts pages slot by slot. piece_at(done, lo, n) returns the piece that follows the
// first `done` pages.
template <class F> Result<void> PinIndex::insert_slots(u64 first, u64 npages, F piece_at)
{
	for (u64 done = 0; done < npages;) {
		const SlotPart part(first + done, npages - done);
		Result<PinPiece> piece = piece_at(done, part.lo, part.n);
		const Result<void> inserted =
			piece.ok() ? insert_piece(part.slot, piece.value()) : piece.error();

		if (!inserted.ok()) {
			undo(first, done);
			return inserted;
		}
		done += part.n;
	}
	return {};
}

Result<void> PinIndex::insert(u64 first, u64 npages, const PinPage *pages, const u64 *dma)
{
	if (!in_range(first, npages) || forms_.with_dma() != (dma != nullptr))
		return Error(EINVAL);
	if (npages == 1)
		return insert_run(first, 1, pages[0], dma ? dma[0] : 0);
	return insert_slots(first, npages, [=](u64 done, u32 lo, u32 n) {
		return PinPiece::of(lo, n, pages + done, dma ? dma + done : nullptr);
	});
}

Result<void> PinIndex::insert_run(u64 first, u64 npages, PinPage page, u64 dma)
{
	if (!in_range(first, npages) || !page.valid() ||
	    page.pfn().value + (npages - 1) > PinPage::kPfnMask)
		return Error(EINVAL);
	if (!forms_.with_dma() && dma)
		return Error(EINVAL);

	const SlotPart part(first, npages);
	const u64 dma_unit = forms_.with_dma() ? kPageSize : 0;
	if (part.n == npages)
		return insert_piece(part.slot,
				    PinPiece::contiguous(part.lo, part.n, page, dma, dma_unit));
	return insert_slots(first, npages, [=](u64 done, u32 lo, u32 n) -> Result<PinPiece> {
		return PinPiece::contiguous(lo, n, page + done, dma + done * dma_unit, dma_unit);
	});
}

template <class Gone> u64 PinIndex::take(u64 first, u64 npages, Taken taken, Gone &gone)
{
	u64 done = 0;

	gone.set_dma(forms_.with_dma());
	while (done < npages) {
		const SlotPart part(first + done, npages - done);
		const SlotMap::Spot spot = map_.find(part.slot);
		SlotRecord *record = spot.record;

		if (!record) {
			done += to_next_record(first + done, npages - done);
			continue;
		}

		const u64 before = gone.npages();
		const u32 handled = forms_.unpin(*record, part.lo, part.n, taken, gone);
		npages_ -= gone.npages() - before;
		if (!record->value)
			map_.erase(spot);
		done += handled;
		if (handled < part.n)
			break;
	}
	return done;
}

template u64 PinIndex::take(u64 first, u64 npages, Taken taken, PinnedRuns &gone);
template u64 PinIndex::take(u64 first, u64 npages, Taken taken, UnpinnedPages &gone);
template u64 PinIndex::take(u64 first, u64 npages, Taken taken, UnpinnedSpans &gone);

// Takes back one pin of each page, of a call that failed on the way.
void PinIndex::undo(u64 first, u64 npages)
{
	while (npages) {
		PinnedRuns gone;
		const u64 done = unpin(first, npages, gone);

		first += done;
		npages -= done;
	}
}

u64 PinIndex::list(u64 first, u64 last, PinnedRuns &out) const
{
	out.set_dma(forms_.with_dma());
	last = min(last, kLastOffset);
	while (first <= last) {
		const SlotRecord *record = map_.first_from(first >> kPinSlotShift);

		if (!record || record->slot() > last >> kPinSlotShift)
			return kLastOffset + 1;
		first = max(first, record->slot() << kPinSlotShift);

		const SlotPart part(first, last - first + 1);
		const u32 done = forms_.list(*record, part.lo, part.n, out);
		first += done;
		if (done < part.n)
			return first;
	}
	return first;
}

void PinIndex::clear()
{
	for (SlotRecord *record = map_.first_from(0); record;) {
		const u64 slot = record->slot();

		forms_.drop(*record);
		record = slot == SlotMap::kLastSlot ? nullptr : map_.first_from(slot + 1);
	}
	map_.clear();
	npages_ = 0;
}

bool PinIndex::invariants_hold() const
{
	u64 npages = 0;
	bool good = map_.invariants_hold();

	for (const SlotRecord *record = map_.first_from(0); record;) {
		good &= forms_.invariants_hold(*record);
		npages += forms_.live(*record);
		record = record->slot() == SlotMap::kLastSlot ? nullptr :
								map_.first_from(record->slot() + 1);
	}
	return good && npages == npages_;
}

} // namespace vfio
