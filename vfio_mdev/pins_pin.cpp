// SPDX-License-Identifier: GPL-2.0
//
// Pinning. pin() works in turns. In each it counts, with the lock held, the pages
// that the index has already, and finds the next ones that it lacks. These are
// then fetched, as many as fit a batch: VFIO pins them and they are mapped for
// DMA, without the lock. The next turn stores them in the index. If another call
// has inserted some meanwhile, those are counted, and what was fetched in vain is
// released.
#include "entry.h"
#include "pins.hpp"
#include "vfio_mdev/shim/trace.h"
#include "vfio_mdev/shim/vfio_pin.h"
#include "vocab/page_array.hpp"

namespace vfio {

namespace {

constexpr u64 kReadMark = 1;
constexpr u64 kWriteMark = 2;

u64 mark_of(u32 prot)
{
	return (prot & SHIM_IOMMU_READ ? kReadMark : 0) |
	       (prot & SHIM_IOMMU_WRITE ? kWriteMark : 0);
}

} // namespace

struct Pins::PinCall : Call {
	PinCall(u64 first, u64 npages, u32 prot, bool with_dma)
		: Call(Kind::kPin, first, first + npages - 1), npages(npages), prot(prot),
		  pages(npages), dma(with_dma ? npages : 1),
		  room(min(with_dma ? min(pages.room(), dma.room()) : pages.room(),
			   u64{SHIM_VFIO_PIN_MOST}))
	{
	}

	// The first page that this call has not counted.
	u64 at() const
	{
		return first + done;
	}

	bool finished() const
	{
		return done == npages;
	}

	const u64 npages;
	const u32 prot;
	// A batch: its pages, and their DMA addresses.
	PageArray<PinPage> pages;
	PageArray<u64> dma;
	const u64 room;
	// How many pages the index has counted for this call, from first on.
	u64 done = 0;
	// How many pages from at() on must be fetched, and how many were fetched.
	u32 missing = 0;
	u32 fetched = 0;
};

Result<void> Pins::pin(Iova iova, u64 npages, u32 prot)
{
	const u64 first = iova.value >> kPageShift;

	if (!iova.aligned(kPageSize) || !npages || npages - 1 > PinIndex::kLastOffset - first)
		return Error(EINVAL);
	if (!prot || prot & ~u32{SHIM_IOMMU_READ | SHIM_IOMMU_WRITE})
		return Error(EINVAL);

	PinCall call(first, npages, prot, dma_dev_ != nullptr);
	Result<void> result = begin(call);

	while (result.ok() && call.inside) {
		if (call.missing)
			result = fetch(call);
		if (result.ok())
			result = go_on(call);
	}
	// It failed on the way: unpin what was counted.
	if (call.inside)
		take(call, call.done);
	return result;
}

CORE_ENTRY int mdev_pins_pin(mdev_pins *pins, u64 iova, u64 npages, int prot)
{
	const int result = Pins::of(pins).pin({iova}, npages, static_cast<u32>(prot)).negative();

	shim_mdev_trace_pin(iova, npages, prot, result);
	return result;
}

// The first turn. The call is on calls_ afterwards if pages must be fetched.
Result<void> Pins::begin(PinCall &call)
{
	for (;;) {
		u64 seen = 0;
		{
			const WriteGuard guard(lock_);

			if (!overlaps_dropped(call)) {
				call.number = ++last_number_;
				TRY(count_locked(call));
				if (!call.finished())
					enter_locked(call);
				return {};
			}
			seen = left_;
		}
		wait_until_one_leaves(seen);
	}
}

// A further turn. The call leaves calls_ if it is finished and has released what
// it fetched in vain; for the latter it may need one turn more.
Result<void> Pins::go_on(PinCall &call)
{
	const u64 first = call.at();
	const u32 fetched = exchange(call.fetched, 0u);
	u32 stored = 0;
	Result<void> result;
	{
		const WriteGuard guard(lock_);
		Result<u32> kept =
			call.dropped ? Result<u32>(Error(EINVAL)) : store_locked(call, fetched);

		if (!kept.ok()) {
			result = kept.error();
		} else {
			stored = kept.take();
			if (!call.finished())
				result = count_locked(call);
			if (result.ok() && call.finished() && stored == fetched)
				leave_locked(call);
		}
	}
	for (u32 i = stored; dma_dev_ && i < fetched; i++)
		shim_dma_unmap(dma_dev_, call.dma.entries()[i], direction_);
	release_pages(first + stored, fetched - stored);
	return result;
}

// Counts pages that are in the index, up to a batch, and finds out how many must
// be fetched next: pages that are not there, or that were pinned for less access.
Result<void> Pins::count_locked(PinCall &call)
{
	PinPage *const pages = call.pages.entries();
	const u64 mark = mark_of(call.prot);
	const u64 want = min(call.npages - call.done, call.room);
	const u64 counted = TRY(index_.pin_again(call.at(), want, pages));
	const auto allowed = [=](u64 i) { return (pages[i].mark() & mark) == mark; };
	u64 n = 0;

	while (n < counted && allowed(n))
		n++;
	call.done += n;
	if (n < counted) {
		// Undoes the counting of the others. They were pinned before, so
		// that none of them becomes unpinned.
		PinnedRuns none;

		index_.unpin(call.at(), counted - n, none);
		call.missing = 0;
		for (; n < counted && !allowed(n); n++)
			call.missing++;
	} else {
		call.missing = static_cast<u32>(index_.absent_from(call.at(), want - counted));
	}
	return {};
}

// Has VFIO pin the missing pages, and maps them for DMA.
Result<void> Pins::fetch(PinCall &call)
{
	const u32 n = call.missing;
	PinPage *const pages = call.pages.entries();

	TRY(Result<void>::from_negative(
		shim_vfio_pin(vdev_, call.at() << kPageShift, n, call.prot, &pages->value)));
	shim_pages_to_pfns(&pages->value, n);

	const Result<void> mapped = dma_dev_ ? map_pages(call, n) : Result<void>();
	if (!mapped.ok()) {
		release_pages(call.at(), n);
		return mapped;
	}
	for (u32 i = 0; i < n; i++)
		pages[i] = PinPage::of({pages[i].value}, mark_of(call.prot));
	call.fetched = n;
	call.missing = 0;
	return {};
}

// Maps all pages of a batch or none. Each has a mapping of its own, because each
// may be unpinned alone.
Result<void> Pins::map_pages(PinCall &call, u32 npages)
{
	u64 *const dma = call.dma.entries();

	for (u32 i = 0; i < npages; i++)
		if (shim_dma_map(dma_dev_, call.pages.entries()[i].pfn().value, direction_,
				 dma + i) < 0) {
			while (i--)
				shim_dma_unmap(dma_dev_, dma[i], direction_);
			return Error(EIO);
		}
	return {};
}

// Inserts fetched pages up to the first that another call has inserted meanwhile;
// returns how many. If that is the very first, counts those that are in the index
// instead: VFIO has just allowed the access. The remaining pages are fetched again
// in the next turn.
Result<u32> Pins::store_locked(PinCall &call, u32 fetched)
{
	PinPage *const pages = call.pages.entries();
	const u64 absent = index_.absent_from(call.at(), fetched);

	if (absent) {
		TRY(index_.insert(call.at(), absent, pages,
				  dma_dev_ ? call.dma.entries() : nullptr));
		call.done += absent;
	} else if (fetched) {
		call.done += TRY(index_.pin_again(call.at(), fetched, pages));
	}
	return static_cast<u32>(absent);
}

} // namespace vfio
