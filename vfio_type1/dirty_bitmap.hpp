// SPDX-License-Identifier: GPL-2.0
//
// DirtyBitmap: one bit for each page of a dma range, of the smallest size that
// the container's IOMMUs know, that a device may have written. Bit n is bit
// n % 64 of word n / 64, as userspace has it.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

class DirtyBitmap : Pinned {
public:
	static constexpr u64 kBitsPerWord = 64;
	// The UAPI's limit of a bitmap: what a signed 32-bit count can reach.
	static constexpr u64 kMaxBits = 0x7fff'ffff;

	static constexpr u64 words_for(u64 nbits)
	{
		return (nbits + kBitsPerWord - 1) / kBitsPerWord;
	}

	static constexpr u64 kMaxBytes = (kMaxBits + 1) / 8;

	~DirtyBitmap()
	{
		release();
	}

	// All bits clear. Errors: EINVAL for more than kMaxBits, ENOMEM.
	Result<void> allocate(u64 nbits);
	void release();

	void set(u64 first, u64 nbits);
	void set_all();
	void clear_all();

	// 64 bits from 64 * index on. Past the end all is dirty: the smallest
	// page size may shrink when a group leaves.
	u64 word(u64 index) const
	{
		return index < words_for(nbits_) ? words_[index] : kU64Max;
	}

private:
	u64 *words_ = nullptr;
	u64 nbits_ = 0;
};

} // namespace vfio
