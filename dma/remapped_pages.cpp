// SPDX-License-Identifier: GPL-2.0
#include "remapped_pages.hpp"

#include "shim/alloc.h"

namespace vfio {

Result<UniquePtr<RemappedPages>> RemappedPages::create(const PinRuns &own, u64 npages)
{
	// One more, which ends the last piece.
	void *memory = shim_valloc((npages + 1) * sizeof(Page));

	if (!memory)
		return Error(ENOMEM);

	Result<UniquePtr<RemappedPages>> made = make<RemappedPages>(memory);

	if (!made.ok()) {
		shim_vfree(memory);
		return made;
	}

	RemappedPages &self = *made.value();
	PinRun before;
	u64 at = 0;

	own.each([&](const PinRun &run) {
		// Such runs may have been mapped by one call.
		const bool one_call = before.pinned() && run.pinned() && follows(before, run);

		for (u64 i = 0; i < run.npages(); i++, at++) {
			self.pages_[at] = {run.first_page().value + i, run.first_page() + i};
			self.set_joined(at, i || (one_call && at));
		}
		before = run;
	});
	return made;
}

RemappedPages::~RemappedPages()
{
	shim_vfree(pages_);
}

u32 RemappedPages::list(Span &span, PinRun *runs) const
{
	u32 count = 0;

	while (count < kMostListed && span.first <= span.last) {
		const PinRun next = piece(span.first);

		if (count && follows(runs[count - 1], next))
			break;
		runs[count++] = next;
		span.first += next.npages();
	}
	return count;
}

void RemappedPages::exchange(u64 first, PinPage *pages, u64 count, u64 end_of_pieces)
{
	for (u64 i = 0; i < count; i++) {
		const PinPage before = pages_[first + i].now;

		set_joined(first + i, i && pages[i] == pages_[first + i - 1].now + 1);
		pages_[first + i].now = pages[i];
		pages[i] = before;
	}
	if (first + count <= end_of_pieces)
		set_joined(first + count, false);
}

} // namespace vfio
