// SPDX-License-Identifier: GPL-2.0
//
// Refresh: one refresh of a nested domain, or another change of what it
// maps. It is the sink of the walk through the guest's table.
#pragma once

#include "dma/unmapper.hpp"
#include "nested_domain.hpp"
#include "vocab/page_array.hpp"

namespace vfio {

class Refresh : Immovable {
public:
	// The caller holds the nested domain's lock as long as this exists, but not that of
	// the guest's memory, which the functions of the sink are called with.
	// npages: how many pages the range has; 0 if none is mapped. In an atomic context
	// kMostAtomicPages at most, and none of them in a unit that is mapped as a whole.
	Refresh(NestedDomain &nested, u64 npages, Context context);
	~Refresh();

	// Makes the domain agree with a table of a format in a range.
	template <class Format> Refreshed run(const GuestTable &table, IovaRange range);

	// Maps contiguous guest memory, which is not mapped, as NestedDomain::map_direct()
	// does.
	Result<void> map_direct(IovaRange gpas, u64 offset);

	// Unmaps what is mapped of npages pages, from a page's number on.
	void unmap(u64 first, u64 npages);

	// The functions of a sink (table_walk.hpp).
	bool gone(IovaRange range);
	bool frame(IovaRange part, u64 address, u32 prot);
	bool pages(Iova first, u32 count);

	u64 room() const
	{
		return entries_.room();
	}

	PinPage *entries()
	{
		return entries_.entries();
	}

	Iova next() const
	{
		return result_.at;
	}

private:
	// After so many pieces of the table other threads may have the locks and the CPU.
	static constexpr u32 kPiecesAtOnce = 64;
	// After so many a refresh ends for now: the caller goes on with the rest. That is
	// 4 GiB or more of page tables.
	static constexpr u32 kPiecesASlice = 8192;

	// Guest frames of successive pages: an array, or contiguous from one on if array is
	// null.
	struct Frames {
		PinPage at(u64 i) const
		{
			return array ? array[i] : first + i;
		}

		Frames from(u64 i) const
		{
			return array ? Frames{array + i, {}} : Frames{nullptr, first + i};
		}

		const PinPage *array;
		PinPage first;
	};

	u64 take(u64 first, u64 npages, UnpinnedSpans &gone) __must_hold(nested_.lock_);
	void unmap(const UnpinnedSpans &gone) __must_hold(nested_.lock_);
	void take_large(u64 first, u64 npages) __must_hold(nested_.lock_);
	bool breathe(Iova next) __must_hold(nested_.lock_) __must_hold_shared(memory_.lock);
	bool fail(WalkFault fault, u64 page);
	bool defer();
	bool no_room();
	bool clear(u64 first, u64 npages) __must_hold(nested_.lock_);
	bool map_present(u64 first, const PinPage *pages, u32 npages) __must_hold(nested_.lock_)
		__must_hold_shared(memory_.lock);
	bool unit(u64 first, u64 npages, PinPage page) __must_hold(nested_.lock_)
		__must_hold_shared(memory_.lock);
	bool map(u64 first, Frames frames, u64 npages, u64 call_pages) __must_hold(nested_.lock_)
		__must_hold_shared(memory_.lock);
	u64 resolve(Frames frames, u64 npages, u32 &prot, WalkFault &fault)
		__must_hold_shared(memory_.lock);
	bool record(u64 first, Frames frames, u64 npages) __must_hold(nested_.lock_)
		__must_hold_shared(memory_.lock);
	bool map_resolved(u64 first, u64 npages, u32 prot) __must_hold(nested_.lock_)
		__must_hold_shared(memory_.lock);
	bool is_large(u64 page) const __must_hold(nested_.lock_);

	NestedDomain &nested_;
	GuestMemory &memory_;
	const Context context_;
	GuestReader reader_;
	Unmapper unmapper_;
	// What the table says of the pages of one page table.
	PageArray<PinPage> entries_;
	// Host memory that is mapped next: an array if there is more than one page.
	PinRun one_run_;
	PinRun *runs_ = &one_run_;
	u32 run_room_ = 1;
	u32 run_count_ = 0;
	// Where shim_domain_map_runs() works, if run_room_ is more than one.
	void *scratch_ = nullptr;
	u32 pieces_ = 0;
	bool sliced_ = false;
	Refreshed result_;
};

} // namespace vfio
