// SPDX-License-Identifier: GPL-2.0
//
// PinForms: inserting pages, and choosing the form of a slot. Only allocation can fail;
// it precedes all changes of a record.
#include "pin_forms.hpp"

namespace vfio {

namespace {

// Whether each value is the one before it plus step.
template <class T> bool in_steps(const T *values, u32 n, u64 step)
{
	for (u32 i = 1; i < n; i++)
		if (values[i] != values[0] + i * step)
			return false;
	return true;
}

// Writes a piece to the words of a dense slot.
inline void write_words(PinWord *words, const PinPiece &piece)
{
	if (piece.is_contiguous()) {
		for (u32 place = piece.lo; place < piece.end(); place++)
			words[place] = PinWord::of(piece.base + place, 1);
		return;
	}

	PinWord *const to = words + piece.lo;
	const PinPage *const pages = piece.pages;
	const u32 n = piece.n;
	for (u32 i = 0; i < n; i++)
		to[i] = PinWord::of(pages[i], 1);
}

} // namespace

Result<PinPiece> PinPiece::of(u32 lo, u32 n, const PinPage *pages, const u64 *dma)
{
	u64 bits = pages[0].value | pages[n - 1].value;

	if (in_steps(pages, n, 1) && (!dma || in_steps(dma, n, kPageSize))) {
		if (!PinPage{bits}.valid())
			return Error(EINVAL);
		return contiguous(lo, n, pages[0], dma ? dma[0] : 0, dma ? kPageSize : 0);
	}
	for (u32 i = 0; i < n; i++)
		bits |= pages[i].value;
	if (!PinPage{bits}.valid())
		return Error(EINVAL);
	return PinPiece{lo, n, pages, dma, {}, 0};
}

void PinForms::replace(SlotRecord &record, const SlotRecord &by)
{
	if (record.value)
		drop(record);
	record = by;
}

void PinForms::drop(const SlotRecord &record)
{
	if (PinMeta::form(record) == PinForm::kRun)
		forget_run(breakable(run_lo(record), run_hi(record)));
	release_block(record);
}

// Makes the record a run of [lo, hi]; base and dma_base are as in PinPiece.
Result<void> PinForms::make_run(SlotRecord &record, u32 lo, u32 hi, PinPage base, u64 dma_base)
{
	const PinWord word = PinWord::of(base + lo, 1);
	SlotRecord run{record.key, word.value};

	if (breakable(lo, hi))
		TRY(prepare_run());
	if (with_dma()) {
		auto *block = static_cast<PinRunBlock *>(allocate(sizeof(PinRunBlock)));

		if (!block)
			return Error(ENOMEM);
		*block = {word, dma_base + lo * kPageSize};
		run.value = reinterpret_cast<u64>(block);
	}
	set_run(run, lo, hi);
	note_run(breakable(lo, hi));
	replace(record, run);
	return {};
}

Result<void> PinForms::insert(SlotRecord &record, const PinPiece &piece)
{
	switch (PinMeta::form(record)) {
	case PinForm::kRun:
		return record.value ? insert_at_run(record, piece) : insert_first(record, piece);
	case PinForm::kPlanes:
		return insert_in_planes(record, piece);
	case PinForm::kSparse:
		return insert_in_sparse(record, piece);
	case PinForm::kDense:
		break;
	}
	return insert_in_dense(record, piece);
}

// Inserts pages into a record that has none.
Result<void> PinForms::insert_first(SlotRecord &record, const PinPiece &piece)
{
	if (piece.is_contiguous())
		return make_run(record, piece.lo, piece.end() - 1, piece.base, piece.dma_base);
	return rebuild(record, piece);
}

// Makes a run longer if the piece continues it, or gives it another form.
Result<void> PinForms::insert_at_run(SlotRecord &record, const PinPiece &piece)
{
	const u32 lo = run_lo(record);
	const u32 hi = run_hi(record);
	const u32 total = hi - lo + 1 + piece.n;

	if (piece.lo <= hi && lo < piece.end())
		return Error(EEXIST);
	if (!piece.is_contiguous() || piece.base != base_of(record) ||
	    piece.dma_base != dma_base_of(record) || run_word(record).count() != 1)
		return rebuild(record, piece);

	if (piece.end() == lo || piece.lo == hi + 1) {
		const u32 new_lo = min(lo, piece.lo);
		const u32 new_hi = max(hi, piece.end() - 1);
		const bool breaks = breakable(new_lo, new_hi) && !breakable(lo, hi);

		if (breaks)
			TRY(prepare_run());
		run_word(record) = run_word(record) - (lo - new_lo);
		if (with_dma())
			reinterpret_cast<PinRunBlock *>(record.value)->dma -=
				(lo - new_lo) * kPageSize;
		set_run(record, new_lo, new_hi);
		note_run(breaks);
		return {};
	}

	if (total <= PinSparse::most(with_dma()) &&
	    PinSparse::size_for(total, with_dma()) < PinPlanesBlock::size_for(1))
		return rebuild(record, piece);

	PinPlanesBlock *block = TRY(new_planes(1));
	fill_planes(*block, record);
	set_bits(*block, piece.lo, piece.n);
	replace(record, planes_record(record, block));
	return {};
}

// Allocates planes in which no page is pinned.
Result<PinPlanesBlock *> PinForms::new_planes(u32 planes)
{
	const u32 size = PinPlanesBlock::size_for(planes);
	auto *block = static_cast<PinPlanesBlock *>(allocate(size));

	if (!block)
		return Error(ENOMEM);
	__builtin_memset(block, 0, size);
	block->planes = planes;
	return block;
}

// Pins n pages from lo on, which are not pinned, once.
void PinForms::set_bits(PinPlanesBlock &block, u32 lo, u32 n)
{
	for (u32 word = lo / 64; word <= (lo + n - 1) / 64; word++)
		block.bits[0][word] |= PinPlanesBlock::mask(word, lo, lo + n - 1);
	block.live += n;
}

Result<void> PinForms::insert_in_planes(SlotRecord &record, const PinPiece &piece)
{
	PinPlanesBlock &block = planes(record);

	if (absent_from(record, piece.lo, piece.n) < piece.n)
		return Error(EEXIST);
	if (!piece.is_contiguous() || piece.base != block.base || piece.dma_base != block.dma)
		return rebuild(record, piece);

	// A full slot becomes a run, unless there is no memory for its spare.
	if (block.live + piece.n == kPinSlotPages && block.planes == 1 &&
	    make_run(record, 0, kPinSlotPages - 1, block.base, block.dma).ok())
		return {};
	set_bits(block, piece.lo, piece.n);
	return {};
}

Result<void> PinForms::insert_in_sparse(SlotRecord &record, const PinPiece &piece)
{
	PinSparse sparse = this->sparse(record);
	const u32 at = sparse.before(piece.lo);

	if (at < sparse.count && sparse.places[at] < piece.end())
		return Error(EEXIST);
	if (sparse.count + piece.n > sparse.capacity(with_dma())) {
		if (piece.is_contiguous() && TRY(rebuild_contiguous(record, piece)))
			return {};
		return rebuild(record, piece);
	}
	if (at < sparse.count)
		sparse.move(at, at + piece.n, with_dma());
	for (u32 i = 0; i < piece.n; i++) {
		sparse.words[at + i] = piece.word(piece.lo + i);
		sparse.places[at + i] = static_cast<u16>(piece.lo + i);
		if (with_dma())
			sparse.dma[at + i] = piece.dma_at(piece.lo + i);
	}
	sparse.count += piece.n;
	set_sparse(record, sparse);
	return {};
}

Result<void> PinForms::insert_in_dense(SlotRecord &record, const PinPiece &piece)
{
	PinWord *const words = dense_words(record);
	const u32 total = dense_live(record) + piece.n;

	for (u32 place = piece.lo; place < piece.end(); place++)
		if (words[place].pinned())
			return Error(EEXIST);
	// Most pages have been unpinned since the record became dense.
	if (few(total) && rebuild(record, piece).ok())
		return {};

	write_words(words, piece);
	for (u32 place = piece.lo; with_dma() && place < piece.end(); place++)
		dense_dma(record)[place] = piece.dma_at(place);
	set_dense(record, total);
	return {};
}

// Inserts a contiguous piece in a sparse record by making that a run or planes. Returns
// false, having done nothing, if the pfns of all pages are not contiguous, or if sparse
// is smaller.
Result<bool> PinForms::rebuild_contiguous(SlotRecord &record, const PinPiece &piece)
{
	u64 most = 1;
	u32 lo = piece.lo;
	u32 hi = piece.end() - 1;
	const u32 total = live(record) + piece.n;
	bool fits = true;

	// In most cases the first page shows that they are not contiguous.
	if (sparse(record).words[0].page() - sparse(record).places[0] != piece.base)
		return false;
	each(record, 0, kPinSlotPages, [&](u32 place, PinWord word, u64 dma) {
		fits &= word.page() - place == piece.base &&
			(!with_dma() || dma - place * kPageSize == piece.dma_base);
		most = max(most, word.count());
		lo = min(lo, place);
		hi = max(hi, place);
	});
	if (!fits || most >> PinPlanesBlock::kMostPlanes)
		return false;
	if (most == 1 && hi - lo + 1 == total) {
		TRY(make_run(record, lo, hi, piece.base, piece.dma_base));
		return true;
	}

	u32 planes = 1;
	while (most >> planes)
		planes = PinPlanesBlock::more_than(planes);
	if (total <= PinSparse::most(with_dma()) &&
	    PinSparse::size_for(total, with_dma()) <= PinPlanesBlock::size_for(planes))
		return false;

	PinPlanesBlock *block = TRY(new_planes(planes));
	block->base = piece.base;
	block->dma = piece.dma_base;
	set_bits(*block, piece.lo, piece.n);
	each(record, 0, kPinSlotPages, [&](u32 place, PinWord word, u64) {
		for (u32 plane = 0; plane < planes; plane++)
			block->bits[plane][place / 64] |= (word.count() >> plane & 1)
							  << (place % 64);
		block->live++;
	});
	replace(record, planes_record(record, block));
	return true;
}

// Inserts a piece, which may be empty, by making the record sparse or dense, whichever
// its number of pages asks for.
Result<void> PinForms::rebuild(SlotRecord &record, const PinPiece &piece)
{
	const u32 old = live(record);
	const u32 total = old + piece.n;
	SlotRecord built = record;

	if (total <= PinSparse::most(with_dma())) {
		const u32 size_class = PinSparse::class_for(total, with_dma());
		void *block = allocate(kPinBlockSizes[size_class]);

		if (!block)
			return Error(ENOMEM);

		PinSparse sparse = sparse_at(block, size_class, 0);
		const auto append = [&](u32 place, PinWord word, u64 dma) {
			sparse.words[sparse.count] = word;
			sparse.places[sparse.count] = static_cast<u16>(place);
			if (with_dma())
				sparse.dma[sparse.count] = dma;
			sparse.count++;
		};
		if (old)
			each(record, 0, piece.lo, append);
		for (u32 place = piece.lo; place < piece.end(); place++)
			append(place, piece.word(place), with_dma() ? piece.dma_at(place) : 0);
		if (old)
			each(record, piece.end(), kPinSlotPages, append);
		set_sparse(built, sparse);
		built.value = reinterpret_cast<u64>(block);
	} else {
		auto *words = static_cast<PinWord *>(allocate(dense_size()));

		if (!words)
			return Error(ENOMEM);

		__builtin_memset(words, 0, dense_size());
		set_dense(built, total);
		built.value = reinterpret_cast<u64>(words);

		u64 *addresses = dense_dma(built);
		if (old)
			each(record, 0, kPinSlotPages, [&](u32 place, PinWord word, u64 dma) {
				words[place] = word;
				if (with_dma())
					addresses[place] = dma;
			});
		write_words(words, piece);
		for (u32 place = piece.lo; with_dma() && place < piece.end(); place++)
			addresses[place] = piece.dma_at(place);
	}
	replace(record, built);
	return {};
}

// Makes room for higher counts: more planes, or another form.
Result<void> PinForms::more_planes(SlotRecord &record)
{
	const PinPlanesBlock &old = planes(record);

	if (old.planes == PinPlanesBlock::kMostPlanes)
		return rebuild(record, {});

	const u32 wanted = PinPlanesBlock::more_than(old.planes);
	PinPlanesBlock *block = TRY(new_planes(wanted));

	__builtin_memcpy(block, &old, sizeof(old) + old.planes * sizeof(old.bits[0]));
	block->planes = wanted;
	replace(record, planes_record(record, block));
	return {};
}

} // namespace vfio
