// SPDX-License-Identifier: GPL-2.0
//
// DirtyBitmap: one bit for each page of a dma range, of the smallest size that
// the container's IOMMUs know. Bit n is bit n % 64 of word n / 64, as userspace
// has it. Takes memory only once a bit is set.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

class DirtyBitmap : Immovable {
public:
	static constexpr u64 kBitsPerWord = 64;
	// The UAPI's limits. kMaxBits: pages of one mapping, the largest signed
	// 32-bit number. kMaxBytes: the bitmap of a request; its last word has
	// room for one page more than kMaxBits.
	static constexpr u64 kMaxBits = 0x7fff'ffff;
	static constexpr u64 kMaxBytes = (kMaxBits + 1) / 8;

	static constexpr u64 words_for(u64 nbits)
	{
		return (nbits + kBitsPerWord - 1) / kBitsPerWord;
	}

	// Sets nbits, at least one, of an array of words from bit first on.
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

	// Makes room for nbits, all clear, if there is none. Errors: ENOMEM.
	Result<void> reserve(u64 nbits);
	void release();

	// Bits outside the room are ignored.
	void set(u64 first, u64 nbits);
	void clear(u64 first, u64 nbits);

	// Ors nbits from first on into words, from bit shift of the first on.
	void collect(u64 first, u64 nbits, u64 *words, u64 shift) const;

private:
	static void set_many_bits(u64 *words, u64 first, u64 nbits);

	u64 *words_ = nullptr;
	u64 nbits_ = 0;
};

} // namespace vfio
