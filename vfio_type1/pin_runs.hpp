// SPDX-License-Identifier: GPL-2.0
//
// PinRuns: what type1 pinned behind a dma range, from its first page on, as
// runs of contiguous pfns: the record by which pages are mapped into another
// domain, unmapped and unpinned. The IOMMU is never asked.
//
// Runs are appended at the end and leave all at once. A run takes 16 bytes.
// The first run is inside the object, so that memory in one piece needs
// nothing else; more runs fill chunks that grow from 256 bytes to 4 KiB.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

enum class PinKind : u64 {
	kCounted,  // pinned, charged to the owner
	kReserved, // pinned, but the kernel's own: not charged
	kBorrowed, // not pinned: the zero page, a page without a struct page
};

class PinRun {
public:
	constexpr PinRun() = default;

	constexpr PinRun(Pfn first, u64 npages, PinKind kind)
		: pfn_and_kind_(first.value | static_cast<u64>(kind) << kKindShift), npages_(npages)
	{
	}

	constexpr Pfn first() const
	{
		return {pfn_and_kind_ & ((u64{1} << kKindShift) - 1)};
	}

	constexpr u64 npages() const
	{
		return npages_;
	}

	constexpr PinKind kind() const
	{
		return static_cast<PinKind>(pfn_and_kind_ >> kKindShift);
	}

	constexpr bool pinned() const
	{
		return kind() != PinKind::kBorrowed;
	}

	// Takes next over, if it goes on where this run ends.
	constexpr bool extend(const PinRun &next)
	{
		if (next.pfn_and_kind_ != pfn_and_kind_ + npages_ || npages_ == 0)
			return false;
		npages_ += next.npages_;
		return true;
	}

private:
	static constexpr unsigned int kKindShift = 62;

	u64 pfn_and_kind_ = 0;
	u64 npages_ = 0;
};

class PinRuns : Pinned {
public:
	~PinRuns()
	{
		clear();
	}

	// Errors: ENOMEM; nothing is appended then.
	Result<void> append(const PinRun &run);

	// Forgets all runs.
	void clear();

	bool empty() const
	{
		return first_.npages() == 0;
	}

	// Calls visit(offset in pages, run) in order, until it gives an error.
	template <class F> Result<void> try_each(F visit) const
	{
		u64 offset = 0;

		if (empty())
			return {};
		TRY(visit(offset, first_));
		offset += first_.npages();
		for (const Chunk *chunk = head_; chunk; chunk = chunk->next)
			for (u32 i = 0; i < chunk->count; i++) {
				TRY(visit(offset, chunk->runs[i]));
				offset += chunk->runs[i].npages();
			}
		return {};
	}

	// Calls visit(run) in order.
	template <class F> void each(F visit) const
	{
		(void)try_each([&](u64, const PinRun &run) -> Result<void> {
			visit(run);
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

	Result<Chunk *> chunk_with_room();

	PinRun first_;
	Chunk *head_ = nullptr;
	Chunk *tail_ = nullptr;
};

} // namespace vfio
