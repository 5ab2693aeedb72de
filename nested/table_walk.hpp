// SPDX-License-Identifier: GPL-2.0
//
// TableWalk: follows a guest's I/O page table over a range of IOVAs, and tells a sink
// what is mapped there. Each entry is read once, so that the guest may change its table
// meanwhile: a walk sees an entry as it was before or after the change.
//
// The sink's functions may release the lock of the guest's memory and take it again. Pages
// of tables that the walk has found stay pinned meanwhile: the caller holds the nested
// domain's lock, without which no memory is unpinned.
//
// The sink has these functions; each returns false if the walk must stop:
//   bool gone(IovaRange range)
//       nothing is mapped in the range
//   bool frame(IovaRange part, u64 address, u32 prot)
//       part is inside a large frame, and is at the guest address
//   u64 room()
//       how many pages of a page table the sink takes at a time
//   PinPage *entries()
//       where it takes them: for each page its guest frame with the access that the table
//       permits (guest_page()), or 0 if it is not mapped
//   bool pages(Iova first, u32 count)
//       the pages are in entries()
//   Iova next()
//       where the walk ends, after one of the functions has returned false
#pragma once

#include "guest_format.hpp"
#include "guest_memory.hpp"

namespace vfio {

template <class Format, class Sink> class TableWalk : Immovable {
public:
	// The caller holds the lock of the guest's memory, also when it calls walk().
	TableWalk(GuestReader &reader, Sink &sink) : reader_(reader), sink_(sink)
	{
	}

	// Walks range through a table. Returns kNone at the end of the range or if the
	// sink has stopped the walk, or what was wrong, at where().
	WalkFault walk(const GuestTable &table, IovaRange range)
	{
		switch (table.top) {
		case 1:
			return this->table<1>(table.origin, range, kReadWrite);
		case 2:
			return this->table<2>(table.origin, range, kReadWrite);
		case 3:
			return this->table<3>(table.origin, range, kReadWrite);
		default:
			return this->table<4>(table.origin, range, kReadWrite);
		}
	}

	bool stopped() const
	{
		return stopped_;
	}

	// Where the walk has stopped or failed: all before is done.
	Iova where() const
	{
		return where_;
	}

private:
	static constexpr u32 kEntriesAPage = kPageSize / sizeof(u64);

	template <u32 level> static constexpr u64 kSpanMask = (u64{1} << Format::shift(level)) - 1;

	template <u32 level> static u32 index_of(Iova iova)
	{
		return static_cast<u32>(iova.value >> Format::shift(level)) %
		       Format::entries(level);
	}

	// Reads an entry of a table. The guest may write it at the same time.
	static u64 read(const u64 *entry)
	{
		return Format::host_order(__atomic_load_n(entry, __ATOMIC_RELAXED));
	}

	WalkFault fail(WalkFault fault, Iova where)
	{
		where_ = where;
		return fault;
	}

	// Notes that the sink wants no more.
	WalkFault stop()
	{
		stopped_ = true;
		return fail(WalkFault::kNone, sink_.next());
	}

	// Walks a table; range is inside what it translates. Nothing is mapped by entries
	// that are invalid: the sink is told of successive ones together.
	template <u32 level> WalkFault table(u64 origin, IovaRange range, u32 prot)
	{
		const u64 first = origin / sizeof(u64) + index_of<level>(range.first);
		const u64 last = origin / sizeof(u64) + index_of<level>(range.last);
		const u64 *page = nullptr;
		// Up to here the sink knows.
		Iova told = range.first;

		for (u64 entry = first; entry <= last; entry++) {
			if (!page || entry % kEntriesAPage == 0) [[unlikely]] {
				page = reader_.page(entry * sizeof(u64));
				if (!page) {
					const Iova at =
						max(range.first,
						    begin_of<level>(range.first, entry - first));

					if (told != at && !sink_.gone({told, at - 1}))
						return stop();
					return fail(WalkFault::kEntry, at);
				}
			}

			const u64 raw = read(page + entry % kEntriesAPage);
			if (Format::is_invalid(level, raw))
				continue;

			const Iova begin = begin_of<level>(range.first, entry - first);
			const IovaRange part{max(range.first, begin),
					     min(range.last, begin + kSpanMask<level>)};
			if (told != part.first && !sink_.gone({told, part.first - 1}))
				return stop();

			const WalkFault fault = follow<level>(raw, part, prot);
			if (fault != WalkFault::kNone || stopped_ || part.last == range.last)
				return fault;
			told = part.last + 1;
		}
		return sink_.gone({told, range.last}) ? WalkFault::kNone : stop();
	}

	// Where the n-th entry begins after that of an IOVA.
	template <u32 level> static Iova begin_of(Iova iova, u64 n)
	{
		return {(iova.value & ~kSpanMask<level>)+(n << Format::shift(level))};
	}

	// Does what one entry of a table says about a range.
	template <u32 level> WalkFault follow(u64 raw, IovaRange range, u32 prot)
	{
		const GuestEntry entry = Format::decode(level, raw);
		const u64 into = range.first.value & kSpanMask<level>;

		switch (entry.kind) {
		case GuestEntry::Kind::kTable:
			if constexpr (level == 1)
				return page_table(entry.address, range, prot & entry.prot);
			else
				return table<level - 1>(entry.address, range, prot & entry.prot);
		case GuestEntry::Kind::kFrame:
			if (entry.address >= kGuestAddressLimit)
				break;
			return sink_.frame(range, entry.address + into, prot & entry.prot) ?
				       WalkFault::kNone :
				       stop();
		default:
			return fail(entry.fault, range.first);
		}
		return fail(WalkFault::kEntry, range.first);
	}

	// How many entries of a page table are in order, and the one after them.
	struct Decoded {
		u64 n;
		u64 wrong;
	};

	// Turns at most n entries of a page table into pages. Not inlined, so that the loop has
	// all registers.
	[[gnu::noinline]] static Decoded decode(const u64 *entries, u64 n, PinPage mark,
						PinPage *pages)
	{
		constexpr u64 kAtOnce = 4;
		const u64 most = n / kAtOnce * kAtOnce;
		u64 i = 0;

		// One test of the end for several.
		for (; i < most; i += kAtOnce) {
#pragma GCC unroll 4
			for (u64 j = 0; j < kAtOnce; j++) {
				const u64 raw = read(entries + i + j);

				if (!Format::page(raw, mark, pages[i + j])) [[unlikely]]
					return {i + j, raw};
			}
		}
		for (; i < n; i++) {
			const u64 raw = read(entries + i);

			if (!Format::page(raw, mark, pages[i])) [[unlikely]]
				return {i, raw};
		}
		return {n, 0};
	}

	// A page table lies in one page of the guest's.
	WalkFault page_table(u64 origin, IovaRange range, u32 prot)
	{
		const u64 *page = reader_.page(origin);
		const u64 npages = range.npages();
		const PinPage mark = guest_page(0, prot);

		if (!page)
			return fail(WalkFault::kEntry, range.first);
		page += (origin / sizeof(u64) + index_of<0>(range.first)) % kEntriesAPage;

		for (u64 done = 0; done < npages;) {
			const Iova first = range.first + done * kPageSize;
			const u64 n = min(npages - done, sink_.room());
			const Decoded decoded = decode(page + done, n, mark, sink_.entries());

			if (decoded.n && !sink_.pages(first, static_cast<u32>(decoded.n)))
				return stop();
			if (decoded.n < n)
				return fail(Format::decode(0, decoded.wrong).fault,
					    first + decoded.n * kPageSize);
			done += n;
		}
		return WalkFault::kNone;
	}

	GuestReader &reader_;
	Sink &sink_;
	bool stopped_ = false;
	Iova where_ = {};
};

} // namespace vfio
