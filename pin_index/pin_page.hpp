// SPDX-License-Identifier: GPL-2.0
//
// PinPage and PinWord: a page as users of a pin index name it, and as the index stores
// it. Both have the layout of a u64, so that shims fill arrays of pages in place. A word
// has the bits of its page, and its count between them:
//   bits 0 to 39    the pfn
//   bits 40 to 61   how often the page is pinned; 0 in a page
//   bits 62 and 63  the mark, which is the user's
//
// Neither has an initial value, because large arrays of them are written before they
// are read.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

struct PinPage {
	static constexpr u64 kPfnMask = (u64{1} << 40) - 1;
	static constexpr unsigned int kMarkShift = 62;
	static constexpr u64 kMarkMask = u64{3} << kMarkShift;

	static constexpr PinPage of(Pfn pfn, u64 mark)
	{
		return {pfn.value | mark << kMarkShift};
	}

	constexpr Pfn pfn() const
	{
		return {value & kPfnMask};
	}

	// From 0 to 3.
	constexpr u64 mark() const
	{
		return value >> kMarkShift;
	}

	// Whether the bits of a count are 0.
	constexpr bool valid() const
	{
		return !(value & ~(kPfnMask | kMarkMask));
	}

	// The page whose pfn is larger or smaller by npages, with the same mark.
	constexpr PinPage operator+(u64 npages) const
	{
		return {value + npages};
	}

	constexpr PinPage operator-(u64 npages) const
	{
		return {value - npages};
	}

	friend constexpr auto operator<=>(PinPage, PinPage) = default;

	u64 value;
};

// A word of 0 stands for a page that is not pinned.
struct PinWord {
	static constexpr u64 kCountMask = ~(PinPage::kPfnMask | PinPage::kMarkMask);
	// A count of 1.
	static constexpr u64 kOne = PinPage::kPfnMask + 1;
	static constexpr u64 kMostCount = kCountMask / kOne;

	static constexpr PinWord of(PinPage page, u64 count)
	{
		return {page.value + count * kOne};
	}

	constexpr PinPage page() const
	{
		return {value & ~kCountMask};
	}

	constexpr u64 count() const
	{
		return (value & kCountMask) / kOne;
	}

	constexpr bool pinned() const
	{
		return value != 0;
	}

	// The word after one pin more. If the count overflows, unpinned_once() undoes that;
	// until then the mark is wrong.
	constexpr PinWord pinned_again() const
	{
		return {value + kOne};
	}

	constexpr PinWord unpinned_once() const
	{
		return {value - kOne};
	}

	// The word of the page whose pfn is larger or smaller by npages, with the same
	// mark and count.
	constexpr PinWord operator+(u64 npages) const
	{
		return {value + npages};
	}

	constexpr PinWord operator-(u64 npages) const
	{
		return {value - npages};
	}

	u64 value;
};

static_assert(sizeof(PinPage) == sizeof(u64) && sizeof(PinWord) == sizeof(u64));

} // namespace vfio
