// SPDX-License-Identifier: GPL-2.0
#include "external_pins.hpp"

namespace vfio {

void ExternalPins::release(PinPage first, u64 npages, bool dirty)
{
	if (kind_of(first) == PinKind::kBorrowed)
		return;
	shim_unpin(first.pfn().value, npages, dirty);
}

void ExternalPins::release(const UnpinnedPages &gone, bool dirty)
{
	gone.for_each([=](PinPage first, u64 npages) { release(first, npages, dirty); });
}

void ExternalPins::release(const ExternalPages &pages, bool dirty)
{
	if (pages.run)
		release(pages.run_first, pages.npages, dirty);
	else
		for (u64 i = 0; i < pages.npages; i++)
			release(pages.pages()[i], 1, dirty);
}

void ExternalPins::release_all(bool writable)
{
	if (!WARN_ONCE_IF(!empty(), "mapping freed while pinned by a device"))
		return;
	for_each(0, PinIndex::kLastOffset,
		 [&](const PinnedRun &run) { release(run.page, run.npages, writable); });
	index_.reset();
}

u64 ExternalPins::counted_in(u64 first, u64 npages) const
{
	u64 counted = 0;

	for_each(first, first + npages - 1, [&](const PinnedRun &run) {
		if (kind_of(run.page) == PinKind::kCounted)
			counted += run.npages;
	});
	return counted;
}

Result<void> ExternalPins::add(u64 first, const ExternalPages &pages)
{
	if (!index_)
		index_ = TRY(make<PinIndex>());

	const Result<void> inserted =
		pages.run ? index_->insert_run(first, pages.npages, pages.run_first) :
			    index_->insert(first, pages.npages, pages.pages());
	if (inserted.ok())
		counted_ += pages.counted;
	else if (index_->empty())
		index_.reset();
	return inserted;
}

u64 ExternalPins::unpin(u64 first, u64 npages, UnpinnedPages &gone)
{
	if (!index_)
		return npages;

	const u64 done = index_->unpin(first, npages, gone);
	static_assert(static_cast<u64>(PinKind::kCounted) == 0);
	counted_ -= gone.unmarked();
	if (index_->empty())
		index_.reset();
	return done;
}

} // namespace vfio
