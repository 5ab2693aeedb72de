// SPDX-License-Identifier: GPL-2.0
//
// What pin indexes store, and the memory that they store it in.
//
// A page is a word: its pfn in bits 0 to 39, how often it is pinned in bits 40
// to 61, and two bits of the user's above, its mark. A word without a count is
// a page as the user gives it. Beside it there may be a DMA address.
//
// A record of the slot map is one slot's pages, in one of these forms:
//   run      pages [lo, hi] of contiguous pfns, each pinned once, or a single
//            page: the word is in the record, nothing is allocated
//   planes   contiguous pfns of which not all are pinned, or some more than
//            once: bit planes, one for each binary digit of the counts
//   sparse   sorted arrays of few pages: 10 bytes a page
//   dense    an array with a word for each page of the slot
// With DMA addresses a run's word and address are in a block of their own, and
// a page of a sparse or dense slot takes 8 bytes more.
//
// Blocks have the sizes of kmalloc's classes, so that none is wasted.
//
// The spares: when a page in the middle of a run is unpinned, the run becomes
// planes, and unpinning may not allocate. So one block of planes is kept for
// each kRunsPerSpare runs. To keep one for each would take more than the runs
// themselves, and any scheme that never allocates needs at least a bit for
// each page that is pinned, 0.125 bytes: who has that many runs broken up at
// once waits for memory instead. It is 96 bytes, which a kernel always has in
// the end; nothing fails.
#pragma once

#include "pin_slot_map.hpp"
#include "vocab/units.hpp"

namespace vfio {

constexpr u64 kPinPfnMask = (u64{1} << 40) - 1;
constexpr u64 kPinMarkMask = u64{3} << 62;
constexpr u64 kPinCountMask = ~(kPinPfnMask | kPinMarkMask);
constexpr u64 kPinCountTop = kPinCountMask & ~(kPinCountMask >> 1);
constexpr u64 kPinOne = kPinPfnMask + 1;
constexpr u64 kPinMostCount = kPinCountMask / kPinOne;

// What no page is, its count being more than none.
constexpr u64 kPinNone = ~u64{0};
constexpr u64 kPinStill = ~u64{0} - 1;

constexpr u64 pin_count_of(u64 word)
{
	return (word & kPinCountMask) / kPinOne;
}

constexpr u64 pin_page_of(u64 word)
{
	return word & ~kPinCountMask;
}

enum class PinForm : u64 { kRun, kPlanes, kSparse, kDense };

// The user's bits of a record's key: the form, and 18 bits of what it needs.
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

// A run's or a single page's, of an index with DMA addresses.
struct PinRunBlock {
	u64 word;
	u64 dma;
};

// base and dma are those that page 0 of the slot has or would have, without
// regard to overflow. Page i is pinned as often as bits i of the planes say,
// the first plane's worth 1, the next one's 2, and so on.
struct PinPlanesBlock {
	static constexpr u32 kWords = kPinSlotPages / 64;

	u64 base;
	u64 dma;
	u32 live;
	u32 planes;
	u64 bits[][kWords];

	static constexpr u32 size_for(u32 planes)
	{
		return planes == 1 ? 96 : planes == 2 ? 192 : planes == 3 ? 256 : 512;
	}

	static constexpr u32 kMostPlanes = 7;

	// After 1, 2, 3 come 7 planes.
	static constexpr u32 more_than(u32 planes)
	{
		return planes < 3 ? planes + 1 : kMostPlanes;
	}

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

	// The bits of a word that stand for pages of [lo, hi], which it has
	// some of.
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

// A sparse block: words, DMA addresses if there are, then the pages' places in
// the slot.
struct PinSparse {
	static constexpr u32 kSizes[] = {32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096};
	static constexpr unsigned int kClassBits = 4;
	// So many are gone through one by one.
	static constexpr u32 kFew = 8;

	u64 *words;
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
		return kSizes[size_class] / (with_dma ? 18 : 10);
	}

	// The most pages that take no more than half of what dense would.
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
		return kSizes[class_for(count, with_dma)];
	}

	// How many of the pages are before place.
	u32 before(u32 place) const
	{
		const u16 *next = places;
		u32 left = count;

		// Often the next one in order.
		if (!count || places[count - 1] < place)
			return count;
		while (left > kFew) {
			const u32 half = left / 2;

			next = next[half - 1] < place ? next + half : next;
			left -= half;
		}
		// The last one at least is not.
		while (*next < place)
			next++;
		return static_cast<u32>(next - places);
	}
};

class PinBlocks : Immovable {
public:
	static constexpr u32 kRunsPerSpare = 4;

	explicit PinBlocks(bool with_dma) : with_dma_(with_dma)
	{
	}

	// The index has no records any more.
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

	// Null if there is no memory.
	void *allocate(u32 size)
	{
		void *block = shim_alloc_object(size);

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

	static u64 *dense_words(const SlotRecord &record)
	{
		return reinterpret_cast<u64 *>(record.value);
	}

	u64 *dense_dma(const SlotRecord &record) const
	{
		return dense_words(record) + kPinSlotPages;
	}

	static PinPlanesBlock &planes(const SlotRecord &record)
	{
		return *reinterpret_cast<PinPlanesBlock *>(record.value);
	}

	PinSparse sparse_at(void *block, u32 size_class, u32 count) const
	{
		auto *words = static_cast<u64 *>(block);
		const u32 capacity = PinSparse::capacity_of(size_class, with_dma_);
		u64 *dma = words + capacity;

		return {words, dma, reinterpret_cast<u16 *>(with_dma_ ? dma + capacity : dma),
			count, size_class};
	}

	PinSparse sparse(const SlotRecord &record) const
	{
		return sparse_at(reinterpret_cast<void *>(record.value),
				 PinMeta::low(record, 0, PinSparse::kClassBits),
				 PinMeta::low(record, PinSparse::kClassBits, kPinSlotShift));
	}

	u64 &run_word(SlotRecord &record) const
	{
		return with_dma_ ? reinterpret_cast<PinRunBlock *>(record.value)->word :
				   record.value;
	}

	u64 run_word(const SlotRecord &record) const
	{
		return with_dma_ ? reinterpret_cast<PinRunBlock *>(record.value)->word :
				   record.value;
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

	// Every run that could be broken up in its middle is noted. The spare
	// that it may need comes first. Errors: ENOMEM.
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

	// A block for one plane, for a run that is broken up.
	PinPlanesBlock *take_spare();

	// Frees the block of planes; one that is wanted becomes a spare.
	void release_planes(PinPlanesBlock *block);

	void release_block(const SlotRecord &record);

	// What a pin in the future could need is let go with the last run.
	void trim_spares();

private:
	struct Spare {
		Spare *next;
	};

	static constexpr u32 kSpareSize = PinPlanesBlock::size_for(1);

	u32 spares_wanted() const
	{
		return static_cast<u32>((runs_ + kRunsPerSpare - 1) / kRunsPerSpare);
	}

	Result<void> more_spares();

	Spare *spare_ = nullptr;
	u64 bytes_ = 0;
	u64 runs_ = 0;
	u32 spares_ = 0;
	const bool with_dma_;
};

} // namespace vfio
