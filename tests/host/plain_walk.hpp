// SPDX-License-Identifier: GPL-2.0
//
// What a guest's I/O page table maps, by a walk that is as plain as can be: an oracle that
// has nothing of the core's. It takes the formats from the architectures' rules, entry by
// entry.
#pragma once

#include <algorithm>
#include <cstring>
#include <endian.h>
#include <map>

#include "mock/memory.hpp"

// What a page of IOVAs is mapped to; nothing if prot is 0.
struct Target {
	u64 pfn = 0;
	u32 prot = 0;

	bool operator==(const Target &) const = default;
};

// By the numbers of pages.
using Targets = std::map<u64, Target>;

// The host page behind one of the guest's.
struct GuestPage {
	u64 pfn;
	u32 prot;
	// Tables can be in it.
	bool readable;
};

using GuestPages = std::map<u64, GuestPage>;

struct PlainTable {
	bool operator==(const PlainTable &) const = default;

	// Otherwise of s390.
	bool vtd;
	// The level of the table at origin: 0 is a page table.
	unsigned int top;
	u64 origin;
};

class PlainWalk {
public:
	PlainWalk(const GuestPages &guest, const PlainTable &table) : guest_(guest), table_(table)
	{
	}

	// Of either format: how many bytes an entry of a level translates, as a power of two.
	static unsigned int shift(bool vtd, unsigned int level)
	{
		return vtd ? 12 + 9 * level : level ? 9 + 11 * level : 12;
	}

	static u64 entries(bool vtd, unsigned int level)
	{
		return vtd ? 512 : level ? 2048 : 256;
	}

	// Returns false if the guest's tables lead to more pages or entries than a test has
	// time for.
	bool walk(u64 first, u64 last)
	{
		table(table_.top, table_.origin, first, last, 3);
		return left_ != 0;
	}

	// What is mapped, up to the fault.
	Targets wanted;
	u32 fault = 0;
	u64 at = 0;

private:
	bool fail(u32 code, u64 where)
	{
		fault = code;
		at = where;
		return false;
	}

	bool spend(u64 amount)
	{
		left_ -= std::min(left_, amount);
		return left_ != 0;
	}

	const GuestPage *page(u64 address) const
	{
		const auto found = guest_.find(address / mock::kPage);

		return found == guest_.end() ? nullptr : &found->second;
	}

	bool table(unsigned int level, u64 origin, u64 first, u64 last, u32 prot)
	{
		const unsigned int bits = shift(table_.vtd, level);
		const u64 span = (u64{1} << bits) - 1;

		for (u64 from = first;; from = (from | span) + 1) {
			const u64 index = (from >> bits) % entries(table_.vtd, level);
			const u64 place = origin + index * sizeof(u64);
			const GuestPage *const memory = page(place);

			if (!spend(1))
				return false;
			if (!memory || !memory->readable)
				return fail(7, from);

			u64 entry = 0;
			memcpy(&entry, mock::phys::contents(memory->pfn) + place % mock::kPage,
			       sizeof(entry));
			const u64 to = std::min(last, from | span);
			if (!(table_.vtd ? vtd(level, le64toh(entry), from, to, prot) :
					   s390(level, be64toh(entry), from, to, prot)))
				return false;
			if (to == last)
				return true;
		}
	}

	bool vtd(unsigned int level, u64 entry, u64 first, u64 last, u32 prot)
	{
		const u64 address = entry & 0xf'ffff'ffff'f000;

		if (!(entry & 3))
			return true;
		prot &= entry & 3;
		if (level && !(entry & 0x80))
			return table(level - 1, address, first, last, prot);
		if (level > 2)
			return fail(9, first);
		return frame(level, address, first, last, prot);
	}

	bool s390(unsigned int level, u64 entry, u64 first, u64 last, u32 prot)
	{
		if (!entry)
			return fail(7, first);
		if (entry & (level ? 0x20 : 0x400))
			return true;
		if (entry & 0x200)
			prot &= SHIM_IOMMU_READ;
		if (level == 0)
			return entry >> 12 ? frame(0, entry & ~u64{0xfff}, first, last, prot) :
					     fail(9, first);
		if (level == 1 && entry & 0x400)
			return frame(1, entry & ~u64{0xfffff}, first, last, prot);
		if (level > 1 && ((entry & 3) != 3 || entry & 0xc0))
			return fail(8, first);

		const u64 origin = entry & (level == 1 ? ~u64{0x7ff} : ~u64{0x3fff});
		return origin ? table(level - 1, origin, first, last, prot) : fail(9, first);
	}

	// [first, last] is of one frame.
	bool frame(unsigned int level, u64 address, u64 first, u64 last, u32 prot)
	{
		const u64 span = (u64{1} << shift(table_.vtd, level)) - 1;

		if (address & span || address >> 52)
			return fail(7, first);
		if (!prot)
			return true;
		for (u64 from = first;; from += mock::kPage) {
			const GuestPage *const memory = page(address + (from & span));

			if (!spend(4))
				return false;
			if (!memory || !(memory->prot & prot))
				return fail(memory ? 4 : 7, from);
			wanted[from / mock::kPage] = {memory->pfn, memory->prot & prot};
			if (last - from < mock::kPage)
				return true;
		}
	}

	const GuestPages &guest_;
	const PlainTable table_;
	u64 left_ = 40'000;
};
