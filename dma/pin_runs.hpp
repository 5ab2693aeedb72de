// SPDX-License-Identifier: GPL-2.0
//
// PinRuns: the record of all pages that are pinned for a dma range, in the order of
// its addresses. A PinRun is contiguous physical memory of one kind. Pages are mapped
// and unpinned by this record; the IOMMU is never asked which pages it has mapped.
//
// Runs are appended at the end and removed all at once. A run takes 16 bytes. The
// first run is stored in the object, so that contiguous memory needs no other; more
// runs fill chunks that grow from 256 bytes to 4 KiB.
#pragma once

#include "dma/shim/iommu.h"
#include "dma/shim/pin.h"
#include "pin_index/pin_page.hpp"

namespace vfio {

// What a page is to its owner: the mark of its PinPage. Shims return pages that are
// marked so: SHIM_PIN_RESERVED is kReserved.
enum class PinKind : u64 {
	kCounted,  // pinned, and charged to the owner
	kBorrowed, // without struct page, so that it cannot be pinned
	kReserved, // pinned, but the kernel's own, and not charged
	kShut,	   // borrowed, and in no domain
};

static_assert(SHIM_PIN_RESERVED == static_cast<u64>(PinKind::kReserved) << PinPage::kMarkShift);
static_assert(SHIM_PIN_PFN_MASK == (u64{1} << PinPage::kMarkShift) - 1);

// npages contiguous pages of one kind, from first() on. The shims take it as a
// shim_pin_run, whose pfn has the kind beside it.
class PinRun : private shim_pin_run {
public:
	constexpr PinRun() : shim_pin_run{0, 0}
	{
	}

	constexpr PinRun(PinPage first, u64 npages) : shim_pin_run{first.value, npages}
	{
	}

	constexpr PinRun(Pfn first, u64 npages, PinKind kind)
		: PinRun(PinPage::of(first, static_cast<u64>(kind)), npages)
	{
	}

	// The first page, with the kind of all pages as its mark.
	constexpr PinPage first_page() const
	{
		return {pfn};
	}

	constexpr Pfn first() const
	{
		return {pfn & SHIM_PIN_PFN_MASK};
	}

	constexpr u64 npages() const
	{
		return shim_pin_run::npages;
	}

	constexpr PinKind kind() const
	{
		return static_cast<PinKind>(first_page().mark());
	}

	constexpr bool pinned() const
	{
		return !borrowed();
	}

	// Whether the pages have no struct page.
	constexpr bool borrowed() const
	{
		return pfn & u64{1} << PinPage::kMarkShift;
	}

	constexpr bool shut() const
	{
		return kind() == PinKind::kShut;
	}

	// Requires that the run is borrowed.
	constexpr void set_shut(bool shut)
	{
		const PinKind kind = shut ? PinKind::kShut : PinKind::kBorrowed;

		pfn = PinPage::of(first(), static_cast<u64>(kind)).value;
	}

	// Where the run is in an address space if it begins at first.
	constexpr IovaRange at(Iova first) const
	{
		return {first, first + (npages() * kPageSize - 1)};
	}

	// Appends next, if it begins where this run ends and is of the same kind.
	// Returns false if not.
	constexpr bool extend(const PinRun &next)
	{
		if (next.pfn != pfn + npages() || npages() == 0)
			return false;
		shim_pin_run::npages += next.npages();
		return true;
	}

	const shim_pin_run *shim() const
	{
		return this;
	}
};

static_assert(sizeof(PinRun) == 16);
static_assert(PinRun({1}, 1, PinKind::kBorrowed).borrowed() &&
	      PinRun({1}, 1, PinKind::kShut).borrowed() &&
	      !PinRun({1}, 1, PinKind::kCounted).borrowed() &&
	      !PinRun({1}, 1, PinKind::kReserved).borrowed());

class PinRuns : Immovable {
public:
	~PinRuns()
	{
		if (head_) [[unlikely]]
			free_chunks();
	}

	// Errors: ENOMEM; nothing is appended then.
	Result<void> append(const PinRun &run)
	{
		if (empty()) {
			first_ = run;
			return {};
		}

		PinRun &last = tail_ ? tail_->runs[tail_->count - 1] : first_;
		if (last.extend(run))
			return {};
		if (!tail_ || tail_->count == tail_->capacity)
			TRY(add_chunk());
		tail_->runs[tail_->count++] = run;
		return {};
	}

	// Moves all runs of other to the end of this record. Errors: ENOMEM; nothing is
	// moved then.
	Result<void> splice(PinRuns &other);

	// Removes all runs from the record.
	void clear()
	{
		first_ = {};
		if (head_)
			free_chunks();
	}

	bool empty() const
	{
		return first_.npages() == 0;
	}

	// The run, if there is one and no other; else nullptr.
	const PinRun *only_run() const
	{
		return empty() || head_ ? nullptr : &first_;
	}

	// Calls visit(array of runs, count) in order, until it returns an
	// error.
	template <class F> Result<void> try_each_array(F visit) const
	{
		if (empty())
			return {};
		TRY(visit(&first_, u32{1}));
		for (const Chunk *chunk = head_; chunk; chunk = chunk->next)
			TRY(visit(chunk->runs, chunk->count));
		return {};
	}

	// Calls visit(run), which may change the kind, in order.
	template <class F> void each_mutable(F visit)
	{
		if (empty())
			return;
		visit(first_);
		for (Chunk *chunk = head_; chunk; chunk = chunk->next)
			for (u32 i = 0; i < chunk->count; i++)
				visit(chunk->runs[i]);
	}

	// Calls visit(run) in order.
	template <class F> void each(F visit) const
	{
		(void)try_each_array([&](const PinRun *runs, u32 count) -> Result<void> {
			for (u32 i = 0; i < count; i++)
				visit(runs[i]);
			return {};
		});
	}

private:
	struct Chunk {
		Chunk *next;
		u32 count;
		u32 capacity;
		PinRun runs[];
	};

	static constexpr size_t kFirstChunk = 256;
	static constexpr size_t kLargestChunk = 4096;

	Result<void> add_chunk();
	void free_chunks();

	PinRun first_;
	Chunk *head_ = nullptr;
	Chunk *tail_ = nullptr;
};

} // namespace vfio
