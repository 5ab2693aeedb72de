// SPDX-License-Identifier: GPL-2.0
//
// DirtyReport: writes the dirty bits of dma ranges, in the order of their addresses,
// to a bitmap in user memory.
//
// The bitmap is written in pieces, each of which is adjacent words. In the first word
// of a piece the bits before its first stay as userspace has set them; in the last
// word the bits after its last become clear. Words in which no dma range has a bit
// are not written.
#pragma once

#include "dma_range.hpp"
#include "vocab/uaccess.hpp"

namespace vfio {

class DirtyReport : Immovable {
public:
	// bitmap has a bit for each 1 << pgshift bytes of range.
	DirtyReport(IovaRange range, unsigned int pgshift, UserVa bitmap);
	~DirtyReport();

	// Adds the dirty bits of part, an address range inside dma, to the piece, as far
	// as there is room, and sets last to the last address that was added. all: every
	// page counts as dirty. Returns false, with nothing added, if the piece must be
	// written first.
	bool add(const DmaRange &dma, IovaRange part, bool all, Iova *last)
	{
		const u64 first_bit = bit_of(part.first);

		if (!open_)
			open(first_bit);

		const u64 at = first_bit - first_bit_;
		const u64 nbits = min(bit_of(part.last) - first_bit + 1, capacity_ - at);

		// Words between the piece and part are not written, so that part
		// begins another piece.
		if (at > cleared_ || at >= capacity_)
			return false;
		for (; cleared_ < at + nbits; cleared_ += kBits)
			words_[cleared_ / kBits] = 0;
		*last = part.first + ((nbits << pgshift_) - 1);
		if (all)
			DirtyBitmap::set_bits(words_, at, nbits);
		else
			dma.collect_dirty({part.first, *last}, pgshift_, words_, at);
		return true;
	}

	bool empty() const
	{
		return !open_;
	}

	// Writes the piece, if there is one; the next add() begins another.
	// Errors: EFAULT.
	Result<void> write();

	// Returns true if there is no piece and part begins with kFewWords whole words or
	// more, so that write_ones() can write them if all their bits are set. Sets words
	// to the addresses that these words stand for.
	bool whole_words(IovaRange part, IovaRange *words) const;

	// Writes whole words of which all bits are set. Errors: EFAULT.
	Result<void> write_ones(IovaRange words);

private:
	static constexpr u64 kBits = DirtyBitmap::kBitsPerWord;
	static constexpr u64 kFewWords = 16;

	u64 bit_of(Iova iova) const
	{
		return (iova - base_) >> pgshift_;
	}

	void open(u64 first_bit);

	const Iova base_;
	const unsigned int pgshift_;
	const UserVa bitmap_;
	const u64 last_bit_; // of the whole bitmap
	u64 few_[kFewWords];
	u64 *page_ = nullptr;
	u64 *words_ = few_;
	u64 capacity_ = kFewWords * kBits; // in bits
	bool open_ = false;		   // whether there is a piece
	u64 first_bit_ = 0;		   // where the piece's first word is in the bitmap
	u64 kept_ = 0;			   // how many bits of that word stay as they are
	u64 cleared_ = 0;		   // for how many bits words_ is initialised
};

} // namespace vfio
