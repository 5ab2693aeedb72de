// SPDX-License-Identifier: GPL-2.0
#include "dirty_bitmap.hpp"

#include "shim/alloc.h"

namespace vfio {

namespace {

// Calls visit(index of a word, bits in it) for each word that bits
// [first, first + nbits) touch.
template <class F> void each_word(u64 first, u64 nbits, F visit)
{
	constexpr u64 kBits = DirtyBitmap::kBitsPerWord;
	const u64 end = first + nbits;

	for (u64 at = first; at < end;) {
		const u64 offset = at % kBits;
		const u64 n = min(kBits - offset, end - at);

		visit(at / kBits, kU64Max >> (kBits - n) << offset);
		at += n;
	}
}

} // namespace

void DirtyBitmap::set_many_bits(u64 *words, u64 first, u64 nbits)
{
	each_word(first, nbits, [words](u64 index, u64 bits) { words[index] |= bits; });
}

Result<void> DirtyBitmap::reserve(u64 nbits)
{
	if (words_)
		return {};

	words_ = static_cast<u64 *>(shim_valloc(words_for(nbits) * sizeof(u64)));
	if (!words_)
		return Error(ENOMEM);
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
	if (nbits && first < nbits_)
		set_bits(words_, first, min(nbits, nbits_ - first));
}

void DirtyBitmap::clear(u64 first, u64 nbits)
{
	if (first < nbits_)
		each_word(first, min(nbits, nbits_ - first),
			  [this](u64 index, u64 bits) { words_[index] &= ~bits; });
}

void DirtyBitmap::collect(u64 first, u64 nbits, u64 *words, u64 shift) const
{
	if (first >= nbits_)
		return;

	each_word(first, min(nbits, nbits_ - first), [&](u64 index, u64 bits) {
		// found has this word's bits from lowest on, lowest being its bit 0;
		// to is the bit of words that lowest is ored into.
		const u64 lowest = max(index * kBitsPerWord, first);
		const u64 found = (words_[index] & bits) >> lowest % kBitsPerWord;
		const u64 to = lowest - first + shift;
		const u64 offset = to % kBitsPerWord;

		if (!found)
			return;
		words[to / kBitsPerWord] |= found << offset;
		if (offset && found >> (kBitsPerWord - offset))
			words[to / kBitsPerWord + 1] |= found >> (kBitsPerWord - offset);
	});
}

} // namespace vfio
