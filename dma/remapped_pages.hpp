// SPDX-License-Identifier: GPL-2.0
//
// RemappedPages: what the domains have at each page of a dma range in which a driver has remapped
// pages. A piece is a run of pages that was mapped by one call, so that the IOMMU may use one large
// page for it: whoever unmaps a page unmaps its whole piece. A page takes 16 bytes.
//
// The kind of a page says whether it has a struct page, and whether it is in the domains, as in
// PinRuns; only those of the dma range's owner are pinned, and only in PinRuns.
#pragma once

#include "pin_runs.hpp"
#include "vocab/memory.hpp"

namespace vfio {

class RemappedPages : Immovable {
public:
	// Pages by their indexes, both ends included.
	struct Span {
		u64 first;
		u64 last;
	};

	// Makes the record of a dma range that is mapped as it is pinned. Errors: ENOMEM.
	static Result<UniquePtr<RemappedPages>> create(const PinRuns &own, u64 npages);

	// Owns the memory of the pages from now on.
	explicit RemappedPages(void *pages) : pages_(static_cast<Page *>(pages))
	{
	}

	~RemappedPages();

	// The page that the owner has mapped.
	PinPage own(u64 index) const
	{
		return {pages_[index].own & ~kJoined};
	}

	// Whether a page is another than the owner's.
	bool replaced(u64 index) const
	{
		return PinRun(own(index), 1).first() != PinRun(pages_[index].now, 1).first();
	}

	// Returns the pieces that span touches. npages is the dma range's.
	Span pieces(Span span, u64 npages) const
	{
		while (joined(span.first))
			span.first--;
		while (span.last + 1 < npages && joined(span.last + 1))
			span.last++;
		return span;
	}

	// Exchanges count pages, from first on, for others. Contiguous ones of one kind will be
	// mapped as a piece; those before and after them are pieces of their own. end_of_pieces is
	// where the last piece ends that they touch.
	void exchange(u64 first, PinPage *pages, u64 count, u64 end_of_pieces);

	// Notes that none of span is in a domain.
	void set_shut(Span span)
	{
		each_mutable(span, [](PinRun &run) { run.set_shut(true); });
	}

	// Calls visit(array of runs, count) for whole pieces, in order, until it returns an error.
	// An array has no two pieces that would become one if they were mapped by one call. Always
	// inlined: with a caller's lambda the function's name would be longer than objtool allows.
	template <class F> [[gnu::always_inline]] Result<void> try_each(Span span, F visit) const
	{
		PinRun runs[kMostListed];

		while (span.first <= span.last) {
			const u32 count = list(span, runs);

			TRY(visit(static_cast<const PinRun *>(runs), count));
		}
		return {};
	}

	// Calls visit(run) for each piece, which may change the kind, in order.
	template <class F> void each_mutable(Span span, F visit)
	{
		for (u64 at = span.first; at <= span.last;) {
			const PinRun before = piece(at);
			PinRun run = before;

			visit(run);
			if (run.kind() != before.kind())
				for (u64 i = 0; i < run.npages(); i++)
					pages_[at + i].now = run.first_page() + i;
			at += run.npages();
		}
	}

private:
	struct Page {
		// A PinPage, and kJoined.
		u64 own;
		PinPage now;
	};

	// How many pieces list() lists at most.
	static constexpr u32 kMostListed = 32;

	// Stores the first pieces of span that an array of try_each() may have, and takes them off
	// it. Returns how many.
	u32 list(Span &span, PinRun *runs) const;

	// Whether a page is in one piece with the one before: a bit that no pfn has.
	static constexpr u64 kJoined = u64{1} << (PinPage::kMarkShift - 1);

	static bool follows(const PinRun &run, const PinRun &next)
	{
		return next.first() == run.first() + run.npages();
	}

	bool joined(u64 index) const
	{
		return pages_[index].own & kJoined;
	}

	void set_joined(u64 index, bool joined)
	{
		pages_[index].own = (pages_[index].own & ~kJoined) | (joined ? kJoined : 0);
	}

	// The piece that begins at an index. The page after the last one is not joined.
	PinRun piece(u64 at) const
	{
		u64 npages = 1;

		while (joined(at + npages))
			npages++;
		return {pages_[at].now, npages};
	}

	Page *const pages_;
};

} // namespace vfio
