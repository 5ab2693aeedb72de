// SPDX-License-Identifier: GPL-2.0
//
// PinForms: inserting, counting and unpinning pages of one slot, in all of its forms
// (pin_blocks.hpp). A change may give the record another form. Pages are named by their
// places in the slot, 0 to 511.
//
// A record whose value is 0 has no pages. A function that returns an error has not
// changed which pages the record has, nor their counts.
#pragma once

#include "pin_blocks.hpp"
#include "pin_found.hpp"

namespace vfio {

// Pages to be inserted at the places [lo, lo + n) of a slot.
struct PinPiece {
	// Takes pages from arrays, which the piece points to unless the pages are
	// contiguous. dma is null if the index has no DMA addresses. Errors: EINVAL if
	// a page has bits of a count.
	static Result<PinPiece> of(u32 lo, u32 n, const PinPage *pages, const u64 *dma);

	// Contiguous pages, from the first page and its DMA address. dma_unit is the
	// page size, or 0 if the index has no DMA addresses.
	static PinPiece contiguous(u32 lo, u32 n, PinPage page, u64 dma, u64 dma_unit)
	{
		return {lo, n, nullptr, nullptr, page - lo, dma - lo * dma_unit};
	}

	PinWord word(u32 place) const
	{
		return PinWord::of(pages ? pages[place - lo] : base + place, 1);
	}

	u64 dma_at(u32 place) const
	{
		return dma ? dma[place - lo] : dma_base + place * kPageSize;
	}

	u32 end() const
	{
		return lo + n;
	}

	bool is_contiguous() const
	{
		return !pages;
	}

	u32 lo;
	u32 n;
	// Null if the pages are contiguous. Then base and dma_base are the page and the
	// DMA address that page 0 of the slot would have.
	const PinPage *pages;
	const u64 *dma;
	PinPage base;
	u64 dma_base;
};

// How many pins unpinning takes back from each page.
enum class Taken { kOnePin, kAllPins };

// How an index compares with pages: `same` of them are as it says; then come `differ` that are
// not. recorded is whether any of those is pinned.
struct PinDifference {
	u16 same;
	u16 differ;
	bool recorded;
};

class PinForms : public PinBlocks {
public:
	using PinBlocks::PinBlocks;

	// These are PinIndex's functions for a part of one slot: n pages from lo on. list()
	// and unpin() return how many of the n they went through. insert() leaves it to
	// PinIndex to check pages.
	u32 pinned_from(const SlotRecord &record, u32 lo, u32 n) const;
	u32 absent_from(const SlotRecord &record, u32 lo, u32 n) const;

	// Compares the n pages from lo on with an array, in which a page is 0 if it is not
	// pinned. No page is pinned if record is null.
	PinDifference compare(const SlotRecord *record, u32 lo, u32 n, const PinPage *pages) const;

	u32 list(const SlotRecord &record, u32 lo, u32 n, PinnedRuns &out) const;
	Result<u64> again(SlotRecord &record, u32 lo, u32 n, PinPage *pages);
	Result<void> insert(SlotRecord &record, const PinPiece &piece);
	template <class Gone> u32 unpin(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone);

	// How many pages are pinned.
	u32 live(const SlotRecord &record) const;

	// Frees the record's memory. The caller gives it another value, or erases it.
	void drop(const SlotRecord &record);

	// For tests.
	bool invariants_hold(const SlotRecord &record) const;

private:
	// Functions that change a record's form, or count in bitmaps, are not inlined into
	// those for a word a page: these would have to save more registers at each call.
	template <class F> void each(const SlotRecord &record, u32 begin, u32 end, F visit) const;

	// Whether a dense record has so few pages that it should be sparse. A sparse one
	// becomes dense only with four times as many.
	bool few(u32 live) const
	{
		return live <= PinSparse::most(with_dma()) / 4;
	}

	static bool breakable(u32 lo, u32 hi)
	{
		return hi - lo >= 2;
	}

	static void set_run(SlotRecord &record, u32 lo, u32 hi)
	{
		record.set_meta(PinMeta::make(PinForm::kRun, u64{lo} << kPinSlotShift | hi));
	}

	static void set_sparse(SlotRecord &record, const PinSparse &sparse)
	{
		record.set_meta(
			PinMeta::make(PinForm::kSparse, u64{sparse.count} << PinSparse::kClassBits |
								sparse.size_class));
	}

	static void set_dense(SlotRecord &record, u32 live)
	{
		record.set_meta(PinMeta::make(PinForm::kDense, live));
	}

	static u32 dense_live(const SlotRecord &record)
	{
		return PinMeta::low(record, 0, kPinSlotShift + 1);
	}

	PinPage base_of(const SlotRecord &run) const
	{
		return run_word(run).page() - run_lo(run);
	}

	u64 dma_base_of(const SlotRecord &run) const
	{
		return with_dma() ? run_dma(run) - run_lo(run) * kPageSize : 0;
	}

	// Frees the record's memory and makes it a copy of another, of a new form.
	void replace(SlotRecord &record, const SlotRecord &by);
	static SlotRecord planes_record(const SlotRecord &record, PinPlanesBlock *block);

	// pin_forms.cpp
	static Result<void> check_overflow(PinWord *words, u32 n);
	[[gnu::noinline]] Result<u32> again_in_planes(SlotRecord &record, u32 lo, u32 n,
						      PinPage *pages);
	Result<void> break_up(SlotRecord &record);
	static bool add_to_planes(PinPlanesBlock &block, u32 lo, u32 n);
	void fill_planes(PinPlanesBlock &block, const SlotRecord &run) const;

	// pin_insert.cpp
	Result<void> make_run(SlotRecord &record, u32 lo, u32 hi, PinPage base, u64 dma_base);
	[[gnu::noinline]] Result<void> insert_first(SlotRecord &record, const PinPiece &piece);
	[[gnu::noinline]] Result<void> insert_at_run(SlotRecord &record, const PinPiece &piece);
	[[gnu::noinline]] Result<void> insert_in_planes(SlotRecord &record, const PinPiece &piece);
	Result<void> insert_in_sparse(SlotRecord &record, const PinPiece &piece);
	Result<void> insert_in_dense(SlotRecord &record, const PinPiece &piece);
	static void set_bits(PinPlanesBlock &block, u32 lo, u32 n);
	Result<PinPlanesBlock *> new_planes(u32 planes);
	[[gnu::noinline]] Result<bool> rebuild_contiguous(SlotRecord &record,
							  const PinPiece &piece);
	[[gnu::noinline]] Result<void> rebuild(SlotRecord &record, const PinPiece &piece);
	Result<void> more_planes(SlotRecord &record);

	// pin_unpin.cpp
	template <class Gone>
	[[gnu::noinline]] u32 unpin_run(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone);
	template <class Gone>
	[[gnu::noinline]] u32 unpin_planes(SlotRecord &record, u32 lo, u32 n, Taken taken,
					   Gone &gone);
	template <class Gone>
	[[gnu::noinline]] u32 unpin_sparse(SlotRecord &record, u32 lo, u32 n, Taken taken,
					   Gone &gone);
	template <class Gone>
	u32 unpin_dense(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone);
	void clear(SlotRecord &record);
};

// Calls visit(place, word, dma) for the pinned pages of [begin, end), in order, until it returns
// false; it may also return nothing. dma is 0 if the index has no DMA addresses.
template <class F> void PinForms::each(const SlotRecord &record, u32 begin, u32 end, F visit) const
{
	const auto goes_on = [&visit](u32 place, PinWord word, u64 dma) {
		if constexpr (std::is_void_v<decltype(visit(place, word, dma))>) {
			visit(place, word, dma);
			return true;
		} else {
			return visit(place, word, dma);
		}
	};

	switch (PinMeta::form(record)) {
	case PinForm::kRun: {
		const u32 lo = max(begin, run_lo(record));
		const u32 hi_end = min(end, run_hi(record) + 1);
		const PinWord word = run_word(record) - run_lo(record);
		const u64 dma = dma_base_of(record);

		for (u32 place = lo; place < hi_end; place++)
			if (!goes_on(place, word + place, with_dma() ? dma + place * kPageSize : 0))
				return;
		break;
	}
	case PinForm::kPlanes: {
		const PinPlanesBlock &block = planes(record);

		for (u32 place = begin; place < end;) {
			const u64 rest = block.pinned(place / 64) >> (place % 64);

			if (!rest) {
				place = (place / 64 + 1) * 64;
				continue;
			}
			place += static_cast<u32>(__builtin_ctzll(rest));
			if (place < end &&
			    !goes_on(place, PinWord::of(block.base + place, block.count(place)),
				     with_dma() ? block.dma + place * kPageSize : 0))
				return;
			place++;
		}
		break;
	}
	case PinForm::kSparse: {
		const PinSparse sparse = this->sparse(record);

		for (u32 i = sparse.before(begin); i < sparse.count && sparse.places[i] < end; i++)
			if (!goes_on(u32{sparse.places[i]}, sparse.words[i],
				     with_dma() ? sparse.dma[i] : 0))
				return;
		break;
	}
	case PinForm::kDense: {
		const PinWord *words = dense_words(record);

		for (u32 place = begin; place < end; place++)
			if (words[place].pinned() &&
			    !goes_on(place, words[place],
				     with_dma() ? dense_dma(record)[place] : 0))
				return;
		break;
	}
	}
}

} // namespace vfio
