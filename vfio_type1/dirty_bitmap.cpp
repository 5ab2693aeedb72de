// SPDX-License-Identifier: GPL-2.0
#include "dirty_bitmap.hpp"

#include "shim/alloc.h"

namespace vfio {

Result<void> DirtyBitmap::allocate(u64 nbits)
{
	if (nbits > kMaxBits)
		return Error(EINVAL);

	auto *words = static_cast<u64 *>(shim_valloc(words_for(nbits) * sizeof(u64)));
	if (!words)
		return Error(ENOMEM);
	release();
	words_ = words;
	nbits_ = nbits;
	return {};
}

void DirtyBitmap::release()
{
	shim_vfree(vfio::exchange(words_, nullptr));
	nbits_ = 0;
}

void DirtyBitmap::set(u64 first, u64 nbits)
{
	const u64 end = min(first + nbits, nbits_);

	for (u64 at = first; at < end;) {
		const u64 offset = at % kBitsPerWord;
		const u64 n = min(kBitsPerWord - offset, end - at);

		words_[at / kBitsPerWord] |= kU64Max >> (kBitsPerWord - n) << offset;
		at += n;
	}
}

void DirtyBitmap::set_all()
{
	set(0, nbits_);
}

void DirtyBitmap::clear_all()
{
	for (u64 i = 0; i < words_for(nbits_); i++)
		words_[i] = 0;
}

} // namespace vfio
