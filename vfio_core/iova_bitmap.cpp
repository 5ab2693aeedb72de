// SPDX-License-Identifier: GPL-2.0
#include "iova_bitmap.hpp"

#include <bit>

#include "entry.h"

namespace vfio {

namespace {

constexpr u32 kWindowPages = kPageSize / sizeof(page *);

// at() XORs a byte's number with this. On a big-endian machine the byte with the lowest
// bits is the last of its u64; on such a machine a u64 must not straddle pages.
constexpr u64 kFlip = std::endian::native == std::endian::big ? sizeof(u64) - 1 : 0;

// Returns where a byte of the bitmap lies in memory.
constexpr u64 at(u64 byte)
{
	return byte ^ kFlip;
}

// Sets bits [first, last] of a page.
void set_bits(u8 *page, u64 first, u64 last)
{
	const u64 last_byte = last / 8;
	const u8 head = static_cast<u8>(0xff << (first % 8));
	const u8 tail = static_cast<u8>(0xff >> (7 - last % 8));
	u64 byte = first / 8;

	if (byte == last_byte) {
		page[at(byte)] |= head & tail;
		return;
	}
	page[at(byte)] |= head;
	while (++byte < last_byte)
		page[at(byte)] = 0xff;
	page[at(last_byte)] |= tail;
}

} // namespace

Result<UniquePtr<IovaBitmap>> IovaBitmap::create(IovaRange range, u64 page_size, UserVa bitmap)
{
	if (kFlip && !bitmap.aligned(sizeof(u64)))
		return Error(EINVAL);

	UniquePtr<IovaBitmap> made =
		TRY(make<IovaBitmap>(range, smallest_shift(page_size), bitmap));

	made->pages_ = static_cast<page **>(shim_alloc(kPageSize));
	if (!made->pages_)
		return Error(ENOMEM);
	TRY(made->open_window(range.first));
	return made;
}

IovaBitmap::~IovaBitmap()
{
	close_window();
	shim_free(pages_);
}

Result<void> IovaBitmap::open_window(Iova first)
{
	const u64 byte = bit_of(first) / 8;
	const u64 last_byte = bit_of(range_.last) / 8;
	u64 address = 0;

	if (__builtin_add_overflow(bitmap_.value, byte, &address))
		return Error(EFAULT);

	const u32 offset = address & ~kPageMask;
	const u64 wanted = (offset + (last_byte - byte)) / kPageSize + 1;
	const long pinned = shim_user_pages_pin(address, min<u64>(wanted, kWindowPages), pages_);

	if (pinned <= 0)
		return Error(EFAULT);

	// The pinned pages have nbits bits from first's on; after first's, the range
	// has left bits. If nbits <= left, the IOVAs of nbits bits do not overflow.
	const u64 nbits = (pinned * kPageSize - offset) * 8;
	const u64 left = bit_of(range_.last) - bit_of(first);

	npages_ = pinned;
	page_offset_ = offset;
	window_byte_ = byte;
	window_.first = first;
	window_.last = nbits > left ? range_.last : first + ((nbits << shift_) - 1);
	written_ = false;

	// Sets the bits that set() left for this window.
	if (marked_ && first <= marked_last_)
		mark({first, min(marked_last_, window_.last)});
	return {};
}

void IovaBitmap::close_window()
{
	if (npages_)
		shim_user_pages_unpin(pages_, exchange(npages_, 0u), written_);
}

Result<bool> IovaBitmap::advance()
{
	close_window();
	if (window_.last == range_.last)
		return false;
	TRY(open_window(window_.last + 1));
	return true;
}

void IovaBitmap::set(Iova iova, u64 size)
{
	if (size == 0)
		return;

	Iova last = iova + (size - 1);

	if (last < iova || last > range_.last)
		last = range_.last;
	if (last < window_.first || iova > range_.last)
		return;
	// A range that begins in the window may reach past it: open_window() then sets
	// the bits up to marked_last_. A range that begins past the window is ignored,
	// because the driver will be asked about it when its window is open.
	if (iova <= window_.last) {
		if (!marked_ || last > marked_last_)
			marked_last_ = last;
		marked_ = true;
		mark({max(iova, window_.first), min(last, window_.last)});
	}
}

void IovaBitmap::mark(IovaRange range)
{
	constexpr u64 kPageBits = kPageSize * 8;
	const u64 origin = window_byte_ * 8 - u64{page_offset_} * 8;
	const u64 last = bit_of(range.last) - origin;
	u64 bit = bit_of(range.first) - origin;

	if (npages_ == 0)
		return;
	written_ = true;
	for (;;) {
		const u64 page = bit / kPageBits;
		const u64 page_last = min(last, page * kPageBits + kPageBits - 1);
		u8 *bits = shim_page_map(pages_[page]);

		set_bits(bits, bit % kPageBits, page_last % kPageBits);
		shim_page_unmap(bits);
		if (page_last == last)
			break;
		bit = page_last + 1;
	}
}

CORE_ENTRY void vfio_core_iova_bitmap_set(iova_bitmap *bitmap, u64 iova, u64 size)
{
	IovaBitmap::of(bitmap).set({iova}, size);
}

} // namespace vfio
