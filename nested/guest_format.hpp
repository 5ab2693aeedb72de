// SPDX-License-Identifier: GPL-2.0
//
// The formats of a guest's I/O page tables: S390Format, the tables that a zPCI
// function's translation anchor names, and VtdFormat, second-level tables of VT-d.
//
// A format is a class without state. Its levels are numbered from the page tables up:
// an entry of level 0 describes a page, one of level n a table of level n - 1 or a
// frame of the same span. A walk (table_walk.hpp) takes the format as a parameter.
#pragma once

#include <bit>

#include "dma/shim/iommu.h"
#include "pin_index/pin_page.hpp"
#include "vocab/units.hpp"

namespace vfio {

// Why a walk could not go on; the values are those of zPCI's error events.
enum class WalkFault : u32 {
	kNone = 0,
	// The memory behind the entry permits none of the access that the table permits.
	kProtection = 4,
	// The entry is zero, or leads to memory that the guest does not have.
	kEntry = 7,
	// The length or the offset of a region table is not that of a whole one.
	kLength = 8,
	// The table cannot have such an entry: it leads to address 0, or is a large frame
	// where there is none.
	kType = 9,
};

// What a guest's table says of a page is a PinPage: the number of the guest's frame, and as
// its mark the access to it, SHIM_IOMMU_READ and SHIM_IOMMU_WRITE. It is 0 if the page is not
// mapped.
constexpr PinPage guest_page(u64 address, u32 prot)
{
	return PinPage::of({address >> kPageShift}, prot);
}

// The guest address of a frame.
constexpr u64 guest_address(PinPage page)
{
	return page.pfn().value << kPageShift;
}

constexpr u32 guest_access(PinPage page)
{
	return static_cast<u32>(page.mark());
}

// What one entry says.
struct GuestEntry {
	enum class Kind : u32 { kInvalid, kTable, kFrame, kFault };

	static constexpr GuestEntry invalid()
	{
		return {Kind::kInvalid, 0, WalkFault::kNone, 0};
	}

	static constexpr GuestEntry failed(WalkFault fault)
	{
		return {Kind::kFault, 0, fault, 0};
	}

	static constexpr GuestEntry table(u64 address, u32 prot)
	{
		return {Kind::kTable, prot, WalkFault::kNone, address};
	}

	static constexpr GuestEntry frame(u64 address, u32 prot)
	{
		return {Kind::kFrame, prot, WalkFault::kNone, address};
	}

	Kind kind;
	// What the entry permits: SHIM_IOMMU_READ and SHIM_IOMMU_WRITE, or-ed.
	u32 prot;
	WalkFault fault;
	// The guest address of the next table, or of the frame.
	u64 address;
};

// No guest has memory from this address on.
constexpr u64 kGuestAddressLimit = u64{1} << 52;

constexpr bool kLittleEndian = std::endian::native == std::endian::little;

constexpr u32 kReadWrite = SHIM_IOMMU_READ | SHIM_IOMMU_WRITE;

// Page, segment, region-third, region-second and region-first tables. Entries are
// big-endian.
struct S390Format {
	static constexpr u32 kLevels = 5;
	// The level of the smallest frame that is larger than a page.
	static constexpr u32 kLargeLevel = 1;

	static constexpr unsigned int shift(u32 level)
	{
		return level == 0 ? 12 : 20 + (level - 1) * 11;
	}

	static constexpr u32 entries(u32 level)
	{
		return level == 0 ? 256 : 2048;
	}

	static u64 host_order(u64 raw)
	{
		return kLittleEndian ? __builtin_bswap64(raw) : raw;
	}

	// Whether an entry of a table above the page tables is marked as mapping nothing. An
	// entry of 0 is not, but wrong: decode() says so.
	static constexpr bool is_invalid(u32, u64 entry)
	{
		return entry & kInvalidTable;
	}

	// Sets page for an entry of a page table; to 0 if it is not mapped. mark has as its mark
	// the access that the tables above permit, and nothing else. Returns false if decode()
	// says a fault.
	static constexpr bool page(u64 entry, PinPage mark, PinPage &page)
	{
		const u64 frame = entry >> kPageShift;

		if (frame == 0) [[unlikely]] {
			page = {0};
			return entry & kInvalidPage;
		}
		page = mark + frame;
		if (!(entry & (kInvalidPage | kProtected | kBeyondLimit))) [[likely]]
			return true;
		if (entry & kInvalidPage) {
			page = {0};
			return true;
		}
		page = PinPage::of({frame}, mark.mark() & SHIM_IOMMU_READ);
		return !(entry & kBeyondLimit);
	}

	static constexpr GuestEntry decode(u32 level, u64 entry)
	{
		constexpr u64 kSegmentFrame = 0x400;
		constexpr u64 kLength = 0x3;
		constexpr u64 kOffset = 0xc0;
		const u32 prot = entry & kProtected ? SHIM_IOMMU_READ : kReadWrite;

		if (entry == 0)
			return GuestEntry::failed(WalkFault::kEntry);
		if (entry & (level == 0 ? kInvalidPage : kInvalidTable))
			return GuestEntry::invalid();
		if (level == 0) {
			const u64 frame = entry >> kPageShift;

			if (frame == 0)
				return GuestEntry::failed(WalkFault::kType);
			if (entry & kBeyondLimit)
				return GuestEntry::failed(WalkFault::kEntry);
			return GuestEntry::frame(frame << kPageShift, prot);
		}
		if (level == 1 && entry & kSegmentFrame)
			return GuestEntry::frame(entry & ~u64{0xf'ffff}, prot);
		if (level >= 2 && ((entry & kLength) != kLength || entry & kOffset))
			return GuestEntry::failed(WalkFault::kLength);

		const u64 origin = entry & (level == 1 ? ~u64{0x7ff} : ~u64{0x3fff});
		if (origin == 0)
			return GuestEntry::failed(WalkFault::kType);
		return GuestEntry::table(origin, prot);
	}

private:
	static constexpr u64 kProtected = 0x200;
	static constexpr u64 kInvalidPage = 0x400;
	static constexpr u64 kInvalidTable = 0x20;
	static constexpr u64 kBeyondLimit = ~(kGuestAddressLimit - 1);
};

static_assert(S390Format::shift(1) == 20 && S390Format::shift(2) == 31 &&
	      S390Format::shift(3) == 42 && S390Format::shift(4) == 53);

// Second-level tables of VT-d, of 3, 4 or 5 levels. Entries are little-endian. An entry
// that permits neither reading nor writing is not present, whatever else it has.
struct VtdFormat {
	static constexpr u32 kLevels = 5;
	static constexpr u32 kLargeLevel = 1;

	static constexpr unsigned int shift(u32 level)
	{
		return 12 + level * 9;
	}

	static constexpr u32 entries(u32)
	{
		return 512;
	}

	static u64 host_order(u64 raw)
	{
		return kLittleEndian ? raw : __builtin_bswap64(raw);
	}

	static constexpr bool is_invalid(u32, u64 entry)
	{
		return !(entry & (kRead | kWrite));
	}

	// As S390Format::page(). No entry of a page table is wrong.
	static constexpr bool page(u64 entry, PinPage mark, PinPage &page)
	{
		static_assert(kRead == SHIM_IOMMU_READ && kWrite == SHIM_IOMMU_WRITE);
		const u64 access = entry << PinPage::kMarkShift & mark.value;

		page = access ? PinPage{access | (entry & kAddress) >> kPageShift} : PinPage{0};
		return true;
	}

	static constexpr GuestEntry decode(u32 level, u64 entry)
	{
		constexpr u64 kLarge = 0x80;
		constexpr u32 kLargestFrame = 2;
		const u64 address = entry & kAddress;
		u32 prot = 0;

		if (entry & kRead)
			prot |= SHIM_IOMMU_READ;
		if (entry & kWrite)
			prot |= SHIM_IOMMU_WRITE;
		if (prot == 0)
			return GuestEntry::invalid();
		if (level == 0)
			return GuestEntry::frame(address, prot);
		if (!(entry & kLarge))
			return GuestEntry::table(address, prot);
		if (level > kLargestFrame)
			return GuestEntry::failed(WalkFault::kType);
		// The low bits of a large frame's address are reserved.
		if (address & ((u64{1} << shift(level)) - 1))
			return GuestEntry::failed(WalkFault::kEntry);
		return GuestEntry::frame(address, prot);
	}

private:
	static constexpr u64 kRead = 0x1;
	static constexpr u64 kWrite = 0x2;
	static constexpr u64 kAddress = kGuestAddressLimit - kPageSize;
};

// A guest's table, as an anchor or a root pointer names it.
struct GuestTable {
	enum class Format : u32 { kS390, kVtd };

	// The last address that the table translates.
	constexpr u64 last() const
	{
		const unsigned int shift = format == Format::kS390 ? S390Format::shift(top + 1) :
								     VtdFormat::shift(top + 1);

		return shift >= 64 ? kU64Max : (u64{1} << shift) - 1;
	}

	Format format;
	// The level of the table at origin.
	u32 top;
	u64 origin;
};

} // namespace vfio
