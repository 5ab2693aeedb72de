// SPDX-License-Identifier: GPL-2.0
#include "dirty_report.hpp"

#include "shim/alloc.h"

namespace vfio {

namespace {

// A page of set bits.
struct Ones {
	u64 words[kPageSize / sizeof(u64)];

	constexpr Ones() : words()
	{
		for (u64 &word : words)
			word = kU64Max;
	}
};

constexpr Ones kOnes;

} // namespace

DirtyReport::DirtyReport(IovaRange range, unsigned int pgshift, UserVa bitmap)
	: base_(range.first), pgshift_(pgshift), bitmap_(bitmap), last_bit_(bit_of(range.last))
{
}

// Begins a piece. If few_ may be too small for it, a page is allocated, which later
// pieces use too; without memory pieces are smaller.
void DirtyReport::open(u64 first_bit)
{
	open_ = true;
	kept_ = first_bit % kBits;
	first_bit_ = first_bit - kept_;
	words_[0] = 0;
	cleared_ = kBits;
	if (page_ || last_bit_ - first_bit_ < capacity_)
		return;

	page_ = static_cast<u64 *>(shim_alloc_page());
	if (!page_)
		return;
	words_ = page_;
	words_[0] = 0;
	capacity_ = kPageSize / sizeof(u64) * kBits;
}

DirtyReport::~DirtyReport()
{
	if (page_)
		shim_free_page(page_);
}

Result<void> DirtyReport::write()
{
	const UserVa at = bitmap_ + first_bit_ / kBits * sizeof(u64);

	if (!open_)
		return {};
	open_ = false;
	if (kept_) {
		u64 word = 0;

		TRY(copy_in(&word, at, sizeof(word)));
		words_[0] |= word & ((u64{1} << kept_) - 1);
	}
	return copy_out(at, words_, cleared_ / kBits * sizeof(u64));
}

bool DirtyReport::whole_words(IovaRange part, IovaRange *words) const
{
	const u64 first = bit_of(part.first);
	const u64 nwords = (bit_of(part.last) - first + 1) / kBits;

	if (open_ || first % kBits || nwords < kFewWords)
		return false;
	*words = {part.first, part.first + ((nwords * kBits << pgshift_) - 1)};
	return true;
}

Result<void> DirtyReport::write_ones(IovaRange words)
{
	UserVa at = bitmap_ + bit_of(words.first) / kBits * sizeof(u64);
	u64 left = (bit_of(words.last) - bit_of(words.first) + 1) / kBits * sizeof(u64);

	while (left) {
		const u64 size = min<u64>(left, sizeof(kOnes));

		TRY(copy_out(at, kOnes.words, size));
		at = at + size;
		left -= size;
	}
	return {};
}

} // namespace vfio
