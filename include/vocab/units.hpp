// SPDX-License-Identifier: GPL-2.0
//
// Addresses that do not mix by accident, and closed ranges of them.
//
// A range is [first, last], both inside it: an IOVA may reach U64_MAX, where
// an exclusive end does not exist. Nothing here overflows silently.
#pragma once

#include <compare>

#include "vocab/result.hpp"

namespace vfio {

constexpr u64 kU64Max = ~u64{0};
constexpr unsigned int kPageShift = SHIM_PAGE_SHIFT;
constexpr u64 kPageSize = u64{1} << kPageShift;
constexpr u64 kPageMask = ~(kPageSize - 1);

template <class Tag> struct Address {
	u64 value = 0;

	friend constexpr auto operator<=>(Address, Address) = default;

	constexpr Address operator+(u64 offset) const
	{
		return {value + offset};
	}

	constexpr Address operator-(int offset) const
	{
		return {value - static_cast<u64>(offset)};
	}

	constexpr u64 operator-(Address other) const
	{
		return value - other.value;
	}

	constexpr bool aligned(u64 size) const
	{
		return (value & (size - 1)) == 0;
	}
};

using Iova = Address<struct IovaTag>;
using UserVa = Address<struct UserVaTag>;
using PhysAddr = Address<struct PhysAddrTag>;
using Pfn = Address<struct PfnTag>;

constexpr PhysAddr phys_of(Pfn pfn)
{
	return {pfn.value << kPageShift};
}

template <class A> struct Range {
	A first;
	A last;

	// size bytes from first. Errors: EINVAL if size is 0, EOVERFLOW if the
	// range would pass the last address.
	static constexpr Result<Range> of_size(A first, u64 size)
	{
		u64 last = 0;

		if (size == 0)
			return Error(EINVAL);
		if (__builtin_add_overflow(first.value, size - 1, &last))
			return Error(EOVERFLOW);
		return Range{first, {last}};
	}

	// In bytes. A range of all 2^64 addresses has no size in a u64.
	constexpr u64 size() const
	{
		return last.value - first.value + 1;
	}

	constexpr u64 npages() const
	{
		return ((last.value - first.value) >> kPageShift) + 1;
	}

	constexpr bool contains(A address) const
	{
		return first <= address && address <= last;
	}

	constexpr bool contains(const Range &other) const
	{
		return first <= other.first && other.last <= last;
	}

	constexpr bool overlaps(const Range &other) const
	{
		return first <= other.last && other.first <= last;
	}

	friend constexpr bool operator==(const Range &, const Range &) = default;
};

using IovaRange = Range<Iova>;

constexpr IovaRange kAllIova{{0}, {kU64Max}};

static_assert(!IovaRange::of_size({1}, kU64Max).ok() ||
	      IovaRange::of_size({1}, kU64Max).value().last.value == kU64Max);
static_assert(!IovaRange::of_size({2}, kU64Max).ok());
static_assert(!IovaRange::of_size({0}, 0).ok());
static_assert(IovaRange{{kU64Max}, {kU64Max}}.overlaps(kAllIova));

// The smallest page size of a bitmap of page sizes, as a shift. The bitmap
// must not be 0.
constexpr unsigned int smallest_shift(u64 pgsize_bitmap)
{
	return static_cast<unsigned int>(__builtin_ctzll(pgsize_bitmap));
}

} // namespace vfio
