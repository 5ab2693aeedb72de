// SPDX-License-Identifier: GPL-2.0
//
// DirtyBitmap: which pages of a dma range devices may have written: a bit for each
// page of the smallest size that all IOMMUs have. Bit n is bit n % 64 of word n / 64,
// as in the bitmaps of the UAPI. The memory is allocated when the first bit is set.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

class DirtyBitmap : Immovable {
public:
	static constexpr u64 kBitsPerWord = 64;
	// Limits of the UAPI: how many bits the bitmap of one mapping may have, and how
	// many bytes that of a request. The latter have room for one bit more.
	static constexpr u64 kMaxBits = 0x7fff'ffff;
	static constexpr u64 kMaxBytes = (kMaxBits + 1) / 8;

	static constexpr u64 words_for(u64 nbits)
	{
		return (nbits + kBitsPerWord - 1) / kBitsPerWord;
	}

	// Sets bits [first, first + nbits) of an array of words. nbits is not 0.
	static void set_bits(u64 *words, u64 first, u64 nbits)
	{
		const u64 offset = first % kBitsPerWord;

		if (nbits <= kBitsPerWord - offset) [[likely]]
			words[first / kBitsPerWord] |= kU64Max >> (kBitsPerWord - nbits) << offset;
		else
			set_many_bits(words, first, nbits);
	}

	~DirtyBitmap()
	{
		if (words_)
			release();
	}

	bool empty() const
	{
		return !words_;
	}

	// Allocates nbits bits, all clear, unless that has been done. Errors: ENOMEM.
	Result<void> reserve(u64 nbits);
	void release();

	// Bits that have not been reserved are ignored.
	void set(u64 first, u64 nbits);
	void clear(u64 first, u64 nbits);

	// Ors bits [first, first + nbits) into words, the first of them into bit shift.
	void collect(u64 first, u64 nbits, u64 *words, u64 shift) const;

private:
	static void set_many_bits(u64 *words, u64 first, u64 nbits);

	u64 *words_ = nullptr;
	u64 nbits_ = 0;
};

} // namespace vfio
