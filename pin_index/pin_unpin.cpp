// SPDX-License-Identifier: GPL-2.0
//
// PinForms: unpinning. Records change in place, or to a form whose block is a spare, so
// that unpinning cannot fail.
#include "pin_forms.hpp"

namespace vfio {

// Called when the last page of a record is unpinned.
void PinForms::clear(SlotRecord &record)
{
	drop(record);
	record.value = 0;
}

template <class Gone>
u32 PinForms::unpin_run(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone)
{
	const u32 run_first = run_lo(record);
	const u32 run_last = run_hi(record);
	const u32 begin = max(lo, run_first);
	const u32 last = min(lo + n - 1, run_last);
	PinWord &word = run_word(record);

	if (begin > last)
		return n;
	if (taken == Taken::kOnePin && word.count() > 1) {
		word = word.unpinned_once();
		return n;
	}

	const u32 skipped = begin - run_first;
	if (!gone.push(record.first_offset() + begin, last - begin + 1, word.page() + skipped,
		       with_dma() ? run_dma(record) + skipped * kPageSize : 0, 0))
		return begin - lo;

	if (begin == run_first && last == run_last) {
		clear(record);
	} else if (begin == run_first || last == run_last) {
		const u32 new_lo = begin == run_first ? last + 1 : run_first;
		const u32 new_hi = begin == run_first ? run_last : begin - 1;

		word = word + (new_lo - run_first);
		if (with_dma())
			reinterpret_cast<PinRunBlock *>(record.value)->dma +=
				(new_lo - run_first) * kPageSize;
		set_run(record, new_lo, new_hi);
		forget_run(breakable(run_first, run_last) && !breakable(new_lo, new_hi));
	} else {
		PinPlanesBlock *block = take_spare();

		__builtin_memset(block, 0, PinPlanesBlock::size_for(1));
		block->planes = 1;
		fill_planes(*block, record);
		for (u32 at = begin / 64; at <= last / 64; at++)
			block->bits[0][at] &= ~PinPlanesBlock::mask(at, begin, last);
		block->live -= last - begin + 1;
		replace(record, planes_record(record, block));
	}
	return n;
}

template <class Gone>
u32 PinForms::unpin_planes(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone)
{
	PinPlanesBlock &block = planes(record);
	const u32 planes = block.planes;
	u32 live = block.live;
	u32 done = n;

	for (u32 at = lo / 64; at <= (lo + n - 1) / 64 && done == n; at++) {
		u64 above_one = 0;

		for (u32 plane = 1; plane < planes; plane++)
			above_one |= block.bits[plane][at];

		u64 borrow =
			PinPlanesBlock::mask(at, lo, lo + n - 1) & (block.bits[0][at] | above_one);
		u64 ones = taken == Taken::kOnePin ? borrow & ~above_one : borrow;

		while (ones) {
			const u32 bit = static_cast<u32>(__builtin_ctzll(ones));
			const u64 after = ~(ones >> bit);
			const u32 length = after ? static_cast<u32>(__builtin_ctzll(after)) : 64;
			const u32 place = at * 64 + bit;

			if (!gone.push(record.first_offset() + place, length, block.base + place,
				       with_dma() ? block.dma + place * kPageSize : 0, 0)) {
				borrow &= (u64{1} << bit) - 1;
				done = place - lo;
				break;
			}
			live -= length;
			ones &= bit + length == 64 ? 0 : ~u64{0} << (bit + length);
		}
		for (u32 plane = 0; plane < planes; plane++) {
			if (taken == Taken::kAllPins) {
				block.bits[plane][at] &= ~borrow;
				continue;
			}
			block.bits[plane][at] ^= borrow;
			borrow &= block.bits[plane][at];
		}
	}
	block.live = live;
	if (!live)
		clear(record);
	return done;
}

template <class Gone>
u32 PinForms::unpin_sparse(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone)
{
	PinSparse sparse = this->sparse(record);
	u32 from = sparse.before(lo);
	u32 to = from;
	u32 done = n;

	for (; from < sparse.count && sparse.places[from] < lo + n; from++) {
		const u32 place = sparse.places[from];
		const PinWord word = sparse.words[from];

		if (taken == Taken::kAllPins || word.count() == 1) {
			if (!gone.push(record.first_offset() + place, 1, word.page(),
				       with_dma() ? sparse.dma[from] : 0, 0)) {
				done = place - lo;
				break;
			}
			continue;
		}
		sparse.words[to] = word.unpinned_once();
		sparse.places[to] = static_cast<u16>(place);
		if (with_dma())
			sparse.dma[to] = sparse.dma[from];
		to++;
	}
	if (from == to)
		return done;

	sparse.move(from, to, with_dma());
	sparse.count -= from - to;
	if (!sparse.count) {
		clear(record);
	} else if (sparse.count == 1 && !with_dma()) {
		SlotRecord single{record.key, sparse.words[0].value};

		set_run(single, sparse.places[0], sparse.places[0]);
		replace(record, single);
	} else {
		set_sparse(record, sparse);
	}
	return done;
}

template <class Gone>
u32 PinForms::unpin_dense(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone)
{
	PinWord *words = dense_words(record);
	const u64 first = record.first_offset();
	const u64 gone_before = gone.npages();
	u32 place = lo;

	for (; place < lo + n; place++) {
		const PinWord word = words[place];

		if (!word.pinned())
			continue;
		if (taken == Taken::kOnePin && word.count() > 1) {
			words[place] = word.unpinned_once();
			continue;
		}
		if (!gone.push(first + place, 1, word.page(),
			       with_dma() ? dense_dma(record)[place] : 0, 0))
			break;
		words[place] = {};
	}

	const u32 left = dense_live(record) - static_cast<u32>(gone.npages() - gone_before);
	if (left)
		set_dense(record, left);
	else
		clear(record);
	return place - lo;
}

template <class Gone>
u32 PinForms::unpin(SlotRecord &record, u32 lo, u32 n, Taken taken, Gone &gone)
{
	switch (PinMeta::form(record)) {
	case PinForm::kRun:
		return unpin_run(record, lo, n, taken, gone);
	case PinForm::kPlanes:
		return unpin_planes(record, lo, n, taken, gone);
	case PinForm::kSparse:
		return unpin_sparse(record, lo, n, taken, gone);
	case PinForm::kDense:
		break;
	}
	return unpin_dense(record, lo, n, taken, gone);
}

template u32 PinForms::unpin(SlotRecord &record, u32 lo, u32 n, Taken taken, PinnedRuns &gone);
template u32 PinForms::unpin(SlotRecord &record, u32 lo, u32 n, Taken taken, UnpinnedPages &gone);
template u32 PinForms::unpin(SlotRecord &record, u32 lo, u32 n, Taken taken, UnpinnedSpans &gone);

} // namespace vfio
