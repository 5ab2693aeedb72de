// SPDX-License-Identifier: GPL-2.0
//
// The layout of a pin index in memory, and PinBlocks, which allocates it.
//
// A record of the slot map (pin_slot_map.hpp) describes the pinned pages of one slot in
// one of four forms; record.value is a pointer to a block, except for a run:
//   run      all pages of [lo, hi] are pinned once and have contiguous pfns, or there
//            is a single page, pinned any number of times: value is the first page's
//            word (pin_page.hpp)
//   planes   the pinned pages have contiguous pfns, with holes or different counts:
//            one bitmap of the slot for each binary digit of the counts
//   sparse   few pages of any kind: sorted arrays, 10 bytes a page
//   dense    pages of any kind: an array with a word for each page of the slot
// In an index with DMA addresses, value of a run is a pointer to a PinRunBlock, and each
// page of a sparse or dense slot takes 8 bytes more.
//
// Blocks have sizes of kPinBlockSizes.
//
// Spares: when a page in the middle of a run is unpinned, the run becomes planes, but
// unpinning must not fail. PinBlocks therefore keeps one block of planes for each
// kRunsPerSpare runs. If more runs than that are broken up, unpinning allocates a block
// of 96 bytes, which may wait for memory but does not fail. Documentation/pin-index.md
// says why there is not a spare for each run.
#pragma once

#include "pin_page.hpp"
#include "pin_slot_map.hpp"

namespace vfio {

enum class PinForm : u64 { kRun, kPlanes, kSparse, kDense };

// The meta bits of a record: its form, and 18 bits that depend on the form:
//   run      lo in bits 9 to 17, hi in bits 0 to 8
//   sparse   the count of pages in bits 4 to 12, the size class in bits 0 to 3
//   dense    the count of pages
struct PinMeta {
	static constexpr unsigned int kFormShift = 18;

	static PinForm form(const SlotRecord &record)
	{
		return static_cast<PinForm>(record.meta() >> kFormShift);
	}

	static u64 make(PinForm form, u64 rest)
	{
		return static_cast<u64>(form) << kFormShift | rest;
	}

	static u32 low(const SlotRecord &record, unsigned int shift, unsigned int bits)
	{
		return static_cast<u32>(record.key >> shift) & ((1U << bits) - 1);
	}
};

// A run, or a single page, in an index with DMA addresses: those of its first page.
struct PinRunBlock {
	PinWord word;
	u64 dma;
};

// base and dma are the page and the DMA address of page 0 of the slot, computed from
// those of the pinned pages; the subtraction may wrap if page 0 is not pinned. Bit i of
// plane k is bit k of the count of page i. live is how many pages are pinned.
struct PinPlanesBlock {
	static constexpr u32 kWords = kPinSlotPages / 64;

	PinPage base;
	u64 dma;
	u32 live;
	u32 planes;
	u64 bits[][kWords];

	static constexpr u32 size_for(u32 planes)
	{
		return planes == 1 ? 96 : planes == 2 ? 192 : planes == 3 ? 256 : 512;
	}

	static constexpr u32 kMostPlanes = 7;

	// The next larger number of planes, as blocks have: 1, 2, 3, 7.
	static constexpr u32 more_than(u32 planes)
	{
		return planes < 3 ? planes + 1 : kMostPlanes;
	}

	// A bit for each page of 64 that is pinned.
	u64 pinned(u32 word) const
	{
		u64 any = 0;

		for (u32 plane = 0; plane < planes; plane++)
			any |= bits[plane][word];
		return any;
	}

	u64 count(u32 page) const
	{
		u64 count = 0;

		for (u32 plane = 0; plane < planes; plane++)
			count |= (bits[plane][page / 64] >> (page % 64) & 1) << plane;
		return count;
	}

	// The bits of a word for pages of [lo, hi], at least one of which is in the
	// word.
	static u64 mask(u32 word, u32 lo, u32 hi)
	{
		u64 mask = ~u64{0};

		if (lo > word * 64)
			mask <<= lo % 64;
		if (hi < word * 64 + 63)
			mask &= ~u64{0} >> (63 - hi % 64);
		return mask;
	}
};

static_assert(sizeof(PinPlanesBlock) + sizeof(u64[1][PinPlanesBlock::kWords]) <=
	      PinPlanesBlock::size_for(1));
static_assert(sizeof(PinPlanesBlock) + sizeof(u64[2][PinPlanesBlock::kWords]) <=
	      PinPlanesBlock::size_for(2));
static_assert(sizeof(PinPlanesBlock) + sizeof(u64[3][PinPlanesBlock::kWords]) <=
	      PinPlanesBlock::size_for(3));
static_assert(sizeof(PinPlanesBlock) + sizeof(u64[7][PinPlanesBlock::kWords]) <=
	      PinPlanesBlock::size_for(7));

// A sparse block in its parts: the pages' words, their DMA addresses if the index has
// them, and their places in the slot, in order.
struct PinSparse {
	static constexpr unsigned int kClassBits = 4;
	// before() halves the array down to this many pages, and then compares one by
	// one.
	static constexpr u32 kFew = 8;

	PinWord *words;
	u64 *dma;
	u16 *places;
	u32 count;
	u32 size_class;

	u32 capacity(bool with_dma) const
	{
		return capacity_of(size_class, with_dma);
	}

	static constexpr u32 capacity_of(u32 size_class, bool with_dma)
	{
		return kPinBlockSizes[size_class] / (with_dma ? 18 : 10);
	}

	// The most pages in a sparse block, which is half as large as a dense one.
	static constexpr u32 most(bool with_dma)
	{
		return capacity_of(with_dma ? 9 : 8, with_dma);
	}

	static u32 class_for(u32 count, bool with_dma)
	{
		u32 size_class = 0;

		while (capacity_of(size_class, with_dma) < count)
			size_class++;
		return size_class;
	}

	static u32 size_for(u32 count, bool with_dma)
	{
		return kPinBlockSizes[class_for(count, with_dma)];
	}

	// How many pages have smaller places.
	u32 before(u32 place) const
	{
		const u16 *next = places;
		u32 left = count;

		// Pages are often pinned in order.
		if (!count || places[count - 1] < place)
			return count;
		while (left > kFew) {
			const u32 half = left / 2;

			next = next[half - 1] < place ? next + half : next;
			left -= half;
		}
		// This ends: the last page's place is not smaller.
		while (*next < place)
			next++;
		return static_cast<u32>(next - places);
	}

	// Moves the entries from at on, so that entry at becomes entry to.
	[[gnu::always_inline]] void move(u32 at, u32 to, bool with_dma) const
	{
		const u32 n = count - at;

		__builtin_memmove(words + to, words + at, n * sizeof(*words));
		__builtin_memmove(places + to, places + at, n * sizeof(u16));
		if (with_dma)
			__builtin_memmove(dma + to, dma + at, n * sizeof(u64));
	}

	// How many pages there are from a place on without a gap, n at most. Page
	// number `at` is the first that is not before the place.
	u32 consecutive(u32 at, u32 place, u32 n) const
	{
		u32 found = 0;

		while (found < n && at + found < count && places[at + found] == place + found)
			found++;
		return found;
	}
};

class PinBlocks : Immovable {
public:
	static constexpr u32 kRunsPerSpare = 4;

	explicit PinBlocks(bool with_dma) : with_dma_(with_dma)
	{
	}

	// Requires that no record is left.
	~PinBlocks()
	{
		runs_ = 0;
		trim_spares();
	}

	bool with_dma() const
	{
		return with_dma_;
	}

	u64 bytes() const
	{
		return bytes_;
	}

	// From now on memory is taken from a reserve, or with null from the kernel.
	void draw_from(PinReserve *reserve)
	{
		reserve_ = reserve;
	}

	PinReserve *reserve() const
	{
		return reserve_;
	}

	// Returns null if there is no memory.
	void *allocate(u32 size)
	{
		void *block = pin_allocate(size, reserve_);

		if (block)
			bytes_ += size;
		return block;
	}

	void release(void *block, u32 size)
	{
		bytes_ -= size;
		shim_free(block);
	}

	u32 dense_size() const
	{
		return kPinSlotPages * (with_dma_ ? 16 : 8);
	}

	static PinWord *dense_words(const SlotRecord &record)
	{
		return reinterpret_cast<PinWord *>(record.value);
	}

	u64 *dense_dma(const SlotRecord &record) const
	{
		return reinterpret_cast<u64 *>(record.value) + kPinSlotPages;
	}

	static PinPlanesBlock &planes(const SlotRecord &record)
	{
		return *reinterpret_cast<PinPlanesBlock *>(record.value);
	}

	PinSparse sparse_at(void *block, u32 size_class, u32 count) const
	{
		const u32 capacity = PinSparse::capacity_of(size_class, with_dma_);
		u64 *dma = static_cast<u64 *>(block) + capacity;

		return {static_cast<PinWord *>(block), dma,
			reinterpret_cast<u16 *>(with_dma_ ? dma + capacity : dma), count,
			size_class};
	}

	PinSparse sparse(const SlotRecord &record) const
	{
		return sparse_at(reinterpret_cast<void *>(record.value),
				 PinMeta::low(record, 0, PinSparse::kClassBits),
				 PinMeta::low(record, PinSparse::kClassBits, kPinSlotShift));
	}

	PinWord &run_word(SlotRecord &record) const
	{
		return with_dma_ ? reinterpret_cast<PinRunBlock *>(record.value)->word :
				   reinterpret_cast<PinWord &>(record.value);
	}

	PinWord run_word(const SlotRecord &record) const
	{
		return with_dma_ ? reinterpret_cast<PinRunBlock *>(record.value)->word :
				   PinWord{record.value};
	}

	u64 run_dma(const SlotRecord &record) const
	{
		return with_dma_ ? reinterpret_cast<PinRunBlock *>(record.value)->dma : 0;
	}

	static u32 run_lo(const SlotRecord &record)
	{
		return PinMeta::low(record, kPinSlotShift, kPinSlotShift);
	}

	static u32 run_hi(const SlotRecord &record)
	{
		return PinMeta::low(record, 0, kPinSlotShift);
	}

	static u32 run_length(const SlotRecord &record)
	{
		return run_hi(record) - run_lo(record) + 1;
	}

	// A run of three pages or more is breakable: a page in its middle may be
	// unpinned. Before such a run is made, prepare_run() takes care that there are
	// enough spares; then it is counted by note_run(). Errors: ENOMEM.
	Result<void> prepare_run()
	{
		return u64{spares_} * kRunsPerSpare > runs_ ? Result<void>() : more_spares();
	}

	void note_run(bool breakable)
	{
		runs_ += breakable;
	}

	void forget_run(bool breakable)
	{
		runs_ -= breakable;
		if (breakable)
			trim_spares();
	}

	// Returns a block for one plane, for a run that is broken up. It is not
	// initialized.
	PinPlanesBlock *take_spare();

	// Frees a block of planes, or keeps it as a spare if there are too few.
	void release_planes(PinPlanesBlock *block);

	// Frees what the record's value points to.
	void release_block(const SlotRecord &record);

private:
	struct Spare {
		Spare *next;
	};

	static constexpr u32 kSpareSize = PinPlanesBlock::size_for(1);
	static_assert(kSpareSize == kPinSpareSize);

	u32 spares_wanted() const
	{
		return static_cast<u32>((runs_ + kRunsPerSpare - 1) / kRunsPerSpare);
	}

	Result<void> more_spares();
	void trim_spares();

	// Null if memory is taken from the kernel.
	PinReserve *reserve_ = nullptr;
	Spare *spare_ = nullptr;
	u64 bytes_ = 0;
	// How many breakable runs there are.
	u64 runs_ = 0;
	u32 spares_ = 0;
	const bool with_dma_;
};

} // namespace vfio
