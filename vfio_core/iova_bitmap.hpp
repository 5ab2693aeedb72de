// SPDX-License-Identifier: GPL-2.0
//
// IovaBitmap: a bitmap in the memory of the calling process, with one bit for each
// page of IOVAs. A driver sets the bits of the pages that its device wrote.
//
// Bit n stands for the n-th page of 2^shift bytes from the first address on,
// and lies in u64 number n / 64, whichever way the machine orders its bytes.
// The bitmap is filled through a window: at most kWindowPages of its pages are
// pinned at a time, and the driver is asked about the IOVAs that their bits stand
// for.
//
// Invariants, while a window is open:
// - range_.first <= window_.first <= window_.last <= range_.last;
// - window_byte_ is the byte of the bitmap whose lowest bit stands for
//   window_.first, and lies at page_offset_ in the first pinned page;
// - npages_ pages are pinned and hold the bits of all of window_.
//
// Bytes of the bitmap are numbered in the order of the bits. at() in the .cpp says where
// a byte lies in memory.
#pragma once

#include "vfio_core/shim/user_pages.h"
#include "vocab/memory.hpp"
#include "vocab/units.hpp"

// The C side's handle for an IovaBitmap.
struct iova_bitmap {};

namespace vfio {

class IovaBitmap : public iova_bitmap, Immovable {
public:
	// Opens the first window. bitmap is the user address of the bitmap;
	// page_size is a power of two. Errors: ENOMEM, EFAULT if the bitmap cannot
	// be written; on big-endian machines EINVAL if it is not aligned to 8 bytes.
	static Result<UniquePtr<IovaBitmap>> create(IovaRange range, u64 page_size, UserVa bitmap);

	IovaBitmap(IovaRange range, unsigned int shift, UserVa bitmap)
		: range_(range), shift_(shift), bitmap_(bitmap)
	{
	}

	~IovaBitmap();

	static IovaBitmap &of(iova_bitmap *handle)
	{
		return *static_cast<IovaBitmap *>(handle);
	}

	// The IOVAs whose bits are in the pinned pages.
	IovaRange window() const
	{
		return window_;
	}

	// Closes the window and opens the next one. Returns false if there is none.
	// Errors: EFAULT.
	Result<bool> advance();

	// Sets the bits of a range of IOVAs. Bits in the window are set now. Bits past
	// the window, which occur because pages of the device may be larger than those
	// of the bitmap, are set when their window is opened.
	void set(Iova iova, u64 size);

private:
	// first is range_.first or follows the last window, so that its bit is the
	// lowest of a byte.
	Result<void> open_window(Iova first);
	void close_window();
	// Sets the bits of a range inside the window.
	void mark(IovaRange range);

	// Returns the number of the bit that stands for iova.
	u64 bit_of(Iova iova) const
	{
		return (iova - range_.first) >> shift_;
	}

	const IovaRange range_;
	const unsigned int shift_;
	const UserVa bitmap_;

	IovaRange window_{};
	u64 window_byte_ = 0;
	u32 page_offset_ = 0;
	u32 npages_ = 0;
	// Whether bits were set through the window.
	bool written_ = false;
	// The highest address that set() was told of; valid if marked_.
	Iova marked_last_;
	bool marked_ = false;
	page **pages_ = nullptr;
};

} // namespace vfio
