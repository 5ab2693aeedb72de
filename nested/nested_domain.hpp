// SPDX-License-Identifier: GPL-2.0
//
// NestedDomain: keeps one I/O page table of the hardware in agreement with a guest's own.
// The domain maps an IOVA where the guest's table maps it, to the host memory that is
// behind the guest address (GuestMemory): a translation in two stages, done in software
// when the guest says that it has changed its table.
//
// A refresh walks the guest's table over a range of IOVAs and makes the domain agree
// with it. Nothing is pinned by that: all memory of the guest is pinned already.
//
// Invariants, whenever lock_ is free:
// - pages_ has the pages that the domain maps: for each IOVA the guest frame, with the
//   access that the guest's table permits (guest_page());
// - the memory behind them is not unpinned before forget_unknown() has returned;
// - large_ has those units (of the size of the format's smallest large frame) that the
//   hardware may map by a page larger than kPageSize; such a unit is mapped and unmapped
//   as a whole.
//
// Lock: lock_ is taken before the lock of the guest's memory.
#pragma once

#include "dma/shim/iommu.h"
#include "pin_index/pin_index.hpp"
#include "table_walk.hpp"

namespace vfio {

// How a refresh ended.
struct Refreshed {
	enum class Outcome : u32 {
		kDone,
		// The walk met an entry that is wrong; fault says how, at says where.
		kFault,
		// There was no memory, or the domain has as many pages as it may; what is
		// no longer mapped has been unmapped nevertheless.
		kNoRoom,
		// A fatal signal to the caller is pending.
		kInterrupted,
		// What is left needs a caller that may wait, who refreshes all of the range
		// again. What has been done is right.
		kDeferred,
	};

	Outcome outcome = Outcome::kDone;
	WalkFault fault = WalkFault::kNone;
	Iova at = {};
	// The range is refreshed up to at; the caller refreshes the rest. So other threads
	// get the locks now and then however large the range is.
	bool more = false;
};

class Refresh;

class NestedDomain : Immovable {
public:
	struct Statistics {
		u64 mapped;
		u64 unmapped;
	};

	// Both outlive this. Nothing else maps in the domain.
	NestedDomain(iommu_domain *domain, GuestMemory &memory);

	// Unmaps all.
	~NestedDomain()
	{
		clear();
	}

	// The most pages that a caller who may not wait refreshes at once.
	static constexpr u64 kMostAtomicPages = 16;

	// Makes the domain agree with the guest's table in a range of IOVAs, or in the
	// first part of it. The domain can translate all of the range, and no part of it is
	// reserved. In an atomic context nothing is unmapped and no lock waited for, and
	// memory is taken from a reserve, which later callers who may wait fill.
	Refreshed refresh(const GuestTable &table, IovaRange range, Context context)
		__must_not_hold(lock_);

	// Maps the guest's memory at gpas, which one mapping of it has, without a table:
	// guest address 0 is at the IOVA offset. Errors: ENOMEM; some of it may be mapped
	// then.
	Result<void> map_direct(IovaRange gpas, u64 offset) __must_not_hold(lock_);

	// Unmaps all pages whose guest memory is not known any more, because it is about to
	// be unpinned. No device reaches it through this domain afterwards.
	void forget_unknown() __must_not_hold(lock_);

	// Takes a group that is attached out of the domain for a time, and attaches it again. Both wait
	// until no refresh is at work in the domain. Errors: those of the IOMMU.
	void cut(iommu_group *group) __must_not_hold(lock_);
	Result<void> restore(iommu_group *group) __must_not_hold(lock_);

	iommu_domain *hardware() const
	{
		return domain_;
	}

	// Unmaps all pages.
	void clear() __must_not_hold(lock_);

	Statistics statistics() __must_not_hold(lock_);

	// How many pages are mapped, and the memory that it takes to know them.
	u64 npages() __must_not_hold(lock_);
	u64 bytes() __must_not_hold(lock_);

private:
	friend class Refresh;

	// The most pages that a domain maps: a guest maps the same page seldom twice.
	// The caller holds the lock of the guest's memory.
	u64 page_limit() const
	{
		memory_.lock.assume_held_shared();
		return 2 * memory_.npages() + kSpareLimit;
	}

	static constexpr u64 kSpareLimit = 65536;

	template <class Format>
	Refreshed run(const GuestTable &table, IovaRange range, Context context) __must_hold(lock_);
	void forget_unknown_part(Refresh &refresh, u64 first, u64 npages, PinPage page)
		__must_hold(lock_) __must_hold_shared(memory_.lock);
	void forget_units(Refresh &refresh, u64 first, u64 npages) __must_hold(lock_);

	static LockClass lock_class_;

	RwSem lock_{lock_class_};
	iommu_domain *const domain_;
	GuestMemory &memory_;
	// Sizes of pages larger than kPageSize that the IOMMU has, or-ed.
	const u64 large_sizes_;
	// How many pages one call may map without the IOMMU using such a page.
	const u64 call_pages_;
	PinIndex pages_ __guarded_by(lock_);
	PinIndex large_ __guarded_by(lock_);
	// frame_pages_ is how many pages the format's smallest large frame has, and
	// unit_pages_ is the same, or 0 if the hardware has no large page that fits into
	// such a frame. Both are constant as long as large_ is not empty.
	u64 unit_pages_ __guarded_by(lock_) = 0;
	u64 frame_pages_ __guarded_by(lock_) = 1;
	Statistics statistics_ __guarded_by(lock_) = {};
	// For callers that may not wait; empty until there is one.
	PinReserve reserve_ __guarded_by(lock_);
	bool reserve_wanted_ __guarded_by(lock_) = false;
};

} // namespace vfio
