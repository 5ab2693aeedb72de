// SPDX-License-Identifier: GPL-2.0
//
// PinForms: looking up pages, listing them, and pinning pinned pages again.
#include "pin_forms.hpp"

namespace vfio {

u32 PinForms::live(const SlotRecord &record) const
{
	if (!record.value)
		return 0;
	switch (PinMeta::form(record)) {
	case PinForm::kRun:
		return run_length(record);
	case PinForm::kPlanes:
		return planes(record).live;
	case PinForm::kSparse:
		return sparse(record).count;
	case PinForm::kDense:
		return dense_live(record);
	}
	return 0;
}

u32 PinForms::pinned_from(const SlotRecord &record, u32 lo, u32 n) const
{
	u32 found = 0;

	switch (PinMeta::form(record)) {
	case PinForm::kRun:
		if (run_lo(record) <= lo && lo <= run_hi(record))
			found = min(n, run_hi(record) + 1 - lo);
		break;
	case PinForm::kPlanes:
		while (found < n) {
			const u32 place = lo + found;
			const u64 absent = ~planes(record).pinned(place / 64) >> (place % 64);

			if (absent)
				return min(n, found + static_cast<u32>(__builtin_ctzll(absent)));
			found += 64 - place % 64;
		}
		return n;
	case PinForm::kSparse: {
		const PinSparse sparse = this->sparse(record);

		found = sparse.consecutive(sparse.before(lo), lo, n);
		break;
	}
	case PinForm::kDense:
		while (found < n && dense_words(record)[lo + found].pinned())
			found++;
		break;
	}
	return found;
}

u32 PinForms::absent_from(const SlotRecord &record, u32 lo, u32 n) const
{
	u32 found = 0;

	switch (PinMeta::form(record)) {
	case PinForm::kRun:
		if (lo > run_hi(record))
			return n;
		return lo < run_lo(record) ? min(n, run_lo(record) - lo) : 0;
	case PinForm::kPlanes:
		while (found < n) {
			const u32 place = lo + found;
			const u64 pinned = planes(record).pinned(place / 64) >> (place % 64);

			if (pinned)
				return min(n, found + static_cast<u32>(__builtin_ctzll(pinned)));
			found += 64 - place % 64;
		}
		return n;
	case PinForm::kSparse: {
		const PinSparse sparse = this->sparse(record);
		const u32 at = sparse.before(lo);

		return at < sparse.count ? min(n, sparse.places[at] - lo) : n;
	}
	case PinForm::kDense:
		while (found < n && !dense_words(record)[lo + found].pinned())
			found++;
		break;
	}
	return found;
}

namespace {

// Whether a page of a caller is what a word says. A word of 0 is that of a page that is not
// pinned.
bool agree(PinWord word, PinPage page)
{
	return word.value == page.value + PinWord::kOne || (word.value | page.value) == 0;
}

// Compares n pages with words. word_at(i) is called with i that never decreases; one i may come
// twice.
template <class F> PinDifference compare_with(u32 n, const PinPage *pages, F word_at)
{
	u64 i = 0;

#pragma GCC unroll 4
	for (; i < n; i++)
		if (!agree(word_at(i), pages[i]))
			break;

	const u64 same = i;
	u64 words = 0;
	for (; i < n; i++) {
		const PinWord word = word_at(i);

		if (agree(word, pages[i]))
			break;
		words |= word.value;
	}
	return {static_cast<u16>(same), static_cast<u16>(i - same), words != 0};
}

} // namespace

PinDifference PinForms::compare(const SlotRecord *record, u32 lo, u32 n, const PinPage *pages) const
{
	if (!record)
		return compare_with(n, pages, [](u64) { return PinWord{0}; });
	switch (PinMeta::form(*record)) {
	case PinForm::kRun: {
		const u32 before = run_lo(*record) - lo;
		const u32 length = run_length(*record);
		const PinWord word = run_word(*record);

		// Places before the run wrap around to large ones.
		return compare_with(n, pages, [=](u64 place) {
			const u32 i = static_cast<u32>(place);

			return i - before < length ? word + (i - before) : PinWord{0};
		});
	}
	case PinForm::kPlanes: {
		const PinPlanesBlock &block = planes(*record);

		return compare_with(n, pages, [&](u64 place) {
			const u32 i = static_cast<u32>(place);
			const u64 count = block.count(lo + i);

			return count ? PinWord::of(block.base + (lo + i), count) : PinWord{0};
		});
	}
	case PinForm::kSparse: {
		const PinSparse sparse = this->sparse(*record);
		u32 at = sparse.before(lo);

		return compare_with(n, pages, [&](u64 i) {
			if (at < sparse.count && sparse.places[at] < lo + i)
				at++;
			return at < sparse.count && sparse.places[at] == lo + i ? sparse.words[at] :
										  PinWord{0};
		});
	}
	case PinForm::kDense:
		break;
	}

	const PinWord *words = dense_words(*record) + lo;
	return compare_with(n, pages, [=](u64 i) { return words[i]; });
}

u32 PinForms::list(const SlotRecord &record, u32 lo, u32 n, PinnedRuns &out) const
{
	const u64 first = record.slot() << kPinSlotShift;
	u32 done = n;

	if (PinMeta::form(record) == PinForm::kRun) {
		const u32 begin = max(lo, run_lo(record));
		const u32 end = min(lo + n, run_hi(record) + 1);
		const PinWord word = run_word(record) + (begin - run_lo(record));

		if (begin < end &&
		    !out.push(first + begin, end - begin, word.page(),
			      with_dma() ? dma_base_of(record) + begin * kPageSize : 0,
			      word.count()))
			return begin - lo;
		return n;
	}
	each(record, lo, lo + n, [&](u32 place, PinWord word, u64 dma) {
		if (out.push(first + place, 1, word.page(), dma, word.count()))
			return true;
		done = place - lo;
		return false;
	});
	return done;
}

// Pins pages of planes again, or of a run, which becomes planes. If the counts do not
// fit planes, the record gets a word for each page instead, and its pages are not pinned
// again. Returns how many pages follow each other from lo on.
Result<u32> PinForms::again_in_planes(SlotRecord &record, u32 lo, u32 n, PinPage *pages)
{
	const u32 found = pinned_from(record, lo, n);

	if (found && PinMeta::form(record) == PinForm::kRun)
		TRY(break_up(record));
	while (found && PinMeta::form(record) == PinForm::kPlanes) {
		if (add_to_planes(planes(record), lo, found)) {
			const PinPage page = planes(record).base + lo;

			for (u32 i = 0; i < found; i++)
				pages[i] = page + i;
			break;
		}
		TRY(more_planes(record));
	}
	return found;
}

Result<u64> PinForms::again(SlotRecord &record, u32 lo, u32 n, PinPage *pages)
{
	const auto has_words = [&record] {
		const PinForm form = PinMeta::form(record);

		return form == PinForm::kRun ? run_lo(record) == run_hi(record) :
					       form != PinForm::kPlanes;
	};
	PinWord *words = nullptr;
	u64 any = 0;
	u32 found = 0;

	if (!has_words()) {
		n = TRY(again_in_planes(record, lo, n, pages));
		if (!n || !has_words())
			return u64{n};
	}
	if (PinMeta::form(record) == PinForm::kDense) {
		words = dense_words(record) + lo;
	} else if (PinMeta::form(record) == PinForm::kSparse) {
		const PinSparse sparse = this->sparse(record);
		const u32 at = sparse.before(lo);

		words = sparse.words + at;
		n = sparse.consecutive(at, lo, n);
	} else {
		words = &run_word(record);
		n = run_lo(record) == lo;
	}
	for (; found < n && words[found].pinned(); found++) {
		any |= words[found].value;
		pages[found] = words[found].page();
		words[found] = words[found].pinned_again();
	}
	// Only counts with the top bit may have overflowed.
	if (PinWord{any}.count() > PinWord::kMostCount / 2) [[unlikely]]
		TRY(check_overflow(words, found));
	return u64{found};
}

// Called after the counts of n words grew by one: if a count overflowed, undoes that.
// Errors: EOVERFLOW.
Result<void> PinForms::check_overflow(PinWord *words, u32 n)
{
	bool overflow = false;

	for (u32 i = 0; i < n; i++)
		overflow |= words[i].unpinned_once().count() == PinWord::kMostCount;
	if (!overflow)
		return {};
	for (u32 i = 0; i < n; i++)
		words[i] = words[i].unpinned_once();
	return Error(EOVERFLOW);
}

void PinForms::fill_planes(PinPlanesBlock &block, const SlotRecord &run) const
{
	block.base = base_of(run);
	block.dma = dma_base_of(run);
	block.live = 0;
	set_bits(block, run_lo(run), run_length(run));
}

SlotRecord PinForms::planes_record(const SlotRecord &record, PinPlanesBlock *block)
{
	SlotRecord planes{record.key, reinterpret_cast<u64>(block)};

	planes.set_meta(PinMeta::make(PinForm::kPlanes, 0));
	return planes;
}

// Gives a run a form in which pages have counts: planes, or sparse if that is smaller.
Result<void> PinForms::break_up(SlotRecord &record)
{
	const u32 length = run_length(record);

	if (length <= PinSparse::most(with_dma()) &&
	    PinSparse::size_for(length, with_dma()) < PinPlanesBlock::size_for(2))
		return rebuild(record, {});

	PinPlanesBlock *block = TRY(new_planes(2));
	fill_planes(*block, record);
	replace(record, planes_record(record, block));
	return {};
}

// Counts one more pin of n pages from lo on. Returns false, and changes nothing, if a
// count does not fit the planes.
bool PinForms::add_to_planes(PinPlanesBlock &block, u32 lo, u32 n)
{
	for (u32 word = lo / 64; word <= (lo + n - 1) / 64; word++) {
		u64 full = PinPlanesBlock::mask(word, lo, lo + n - 1);

		for (u32 plane = 0; plane < block.planes; plane++)
			full &= block.bits[plane][word];
		if (full)
			return false;
	}
	for (u32 word = lo / 64; word <= (lo + n - 1) / 64; word++) {
		u64 carry = PinPlanesBlock::mask(word, lo, lo + n - 1);

		for (u32 plane = 0; plane < block.planes; plane++) {
			const u64 bits = block.bits[plane][word];

			block.bits[plane][word] = bits ^ carry;
			carry &= bits;
		}
	}
	return true;
}

bool PinForms::invariants_hold(const SlotRecord &record) const
{
	u32 pages = 0;
	u32 last = 0;
	bool good = record.value != 0;

	if (!good)
		return false;
	each(record, 0, kPinSlotPages, [&](u32 place, PinWord word, u64) {
		good &= word.count() > 0 && (pages == 0 || place > last);
		last = place;
		pages++;
	});
	if (PinMeta::form(record) == PinForm::kRun && pages > 1)
		good &= run_word(record).count() == 1;
	if (PinMeta::form(record) == PinForm::kSparse)
		good &= pages <= sparse(record).capacity(with_dma());
	return good && pages == live(record) && pages > 0;
}

} // namespace vfio
