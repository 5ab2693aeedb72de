// SPDX-License-Identifier: GPL-2.0
//
// DirtyReport: writing the dirty bits of dma ranges, in the order of their
// addresses, into a bitmap of userspace.
//
// Bits go out in pieces: words of the bitmap one behind the other. In the
// first word of a piece the bits below it stay as userspace has them; behind
// the last range of a piece bits become clear up to the end of the word. Words
// that no range has a bit in are not touched.
#pragma once

#include "dma_range.hpp"
#include "vocab/uaccess.hpp"

namespace vfio {

class DirtyReport : Immovable {
public:
	// bitmap: for range, a bit for each 1 << pgshift bytes.
	DirtyReport(IovaRange range, unsigned int pgshift, UserVa bitmap);
	~DirtyReport();

	// Puts as much of part into the piece as there is room for, and stores
	// the last address that is in. all: every bit, whatever the dma range
	// knows. False if the piece must be written first.
	bool add(const DmaRange &dma, IovaRange part, bool all, Iova *last)
	{
		const u64 first_bit = bit_of(part.first);

		if (!open_)
			open(first_bit);

		const u64 at = first_bit - first_bit_;
		const u64 nbits = min(bit_of(part.last) - first_bit + 1, capacity_ - at);

		// A word that begins with bits of userspace's begins a piece.
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

	// Writes the piece, if there is one, and begins a new. Errors: EFAULT.
	Result<void> write();

	// If there is no piece, and part has many whole words from its first
	// bit on, what those words are for.
	bool whole_words(IovaRange part, IovaRange *words) const;

	// Writes whole words of set bits. Errors: EFAULT.
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
	u64 first_bit_ = 0;		   // of the piece, in the bitmap: begins a word
	u64 kept_ = 0;			   // bits of it that are userspace's
	u64 cleared_ = 0;		   // bits of it that have words
	bool open_ = false;
};

} // namespace vfio
