// SPDX-License-Identifier: GPL-2.0
//
// Pinning. In turns: what the index has is counted, with the lock; the pages
// that it lacks from there on, as many as fit a batch, are pinned and mapped
// without it, and inserted with it. Others may have inserted some meanwhile:
// those are counted, and what was fetched of them is surplus.
#include "pins.hpp"
#include "shim/base.h"
#include "vfio_mdev/shim/vfio_pin.h"
#include "vocab/page_array.hpp"

namespace vfio {

namespace {

constexpr u64 kReadMark = u64{1} << 62;
constexpr u64 kWriteMark = u64{1} << 63;
static_assert((kReadMark | kWriteMark) == kPinMarkMask);

u64 mark_of(u32 prot)
{
	return (prot & SHIM_IOMMU_READ ? kReadMark : 0) |
	       (prot & SHIM_IOMMU_WRITE ? kWriteMark : 0);
}

} // namespace

// A set of the pages of a batch.
class Pins::Batched {
public:
	void add(u64 at, u64 n)
	{
		for (u64 i = at; i < at + n; i++)
			words_[i / 64] |= u64{1} << (i % 64);
		any_ |= n != 0;
	}

	bool has(u64 i) const
	{
		return words_[i / 64] >> (i % 64) & 1;
	}

	bool empty() const
	{
		return !any_;
	}

	void clear()
	{
		*this = {};
	}

private:
	u64 words_[SHIM_VFIO_PIN_MOST / 64] = {};
	bool any_ = false;
};

struct Pins::PinCall : Call {
	PinCall(u64 first, u64 npages, u32 prot, bool with_dma)
		: Call(first, first + npages - 1, true), npages(npages), prot(prot), pages(npages),
		  dma(with_dma ? npages : 1),
		  room(with_dma ? min(pages.room(), dma.room()) : pages.room())
	{
		room = min(room, u64{SHIM_VFIO_PIN_MOST});
	}

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
	PageArray pages;
	PageArray dma;
	u64 room;
	// Pages that the index has counted for this call.
	u64 done = 0;
	// Pages after those that must be fetched next.
	u32 missing = 0;
	// The batch: pages that were fetched, and those of no use.
	u64 fetched_at = 0;
	u32 fetched = 0;
	Batched surplus;
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
	if (call.inside)
		take<PinnedRuns>(call, call.done);
	return result;
}

// The first turn. If that is all, or nothing, the call was never inside.
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
			waiting_++;
			seen = left_;
		}
		wait_for_one(seen);
	}
}

// Inserts what was fetched, and counts on. Leaves if that was all.
Result<void> Pins::go_on(PinCall &call)
{
	Result<void> result;
	{
		const WriteGuard guard(lock_);

		if (call.dropped)
			result = Error(EINVAL);
		else if (call.fetched)
			result = insert_locked(call);
		if (!result.ok())
			call.surplus.add(0, call.fetched);
		else if (!call.finished())
			result = count_locked(call);
		if (result.ok() && call.finished() && call.surplus.empty())
			leave_locked(call);
	}
	// If it has not left after the last page it does in one more turn.
	release_surplus(call);
	return result;
}

// Counts what is there, up to a batch, and finds what must be fetched next.
Result<void> Pins::count_locked(PinCall &call)
{
	u64 *const pages = call.pages.pages();
	const u64 mark = mark_of(call.prot);
	const u64 want = min(call.npages - call.done, call.room);
	const u64 counted = TRY(index_.pin_again(call.at(), want, pages));
	const auto allowed = [=](u64 i) { return (pages[i] & mark) == mark; };
	u64 n = 0;

	while (n < counted && allowed(n))
		n++;
	call.done += n;
	if (n < counted) {
		// Was it pinned for reading, and is it for writing now?
		PinnedPages none(nullptr, 0);

		index_.unpin(call.at(), counted - n, none);
		call.missing = 0;
		for (; n < counted && !allowed(n); n++)
			call.missing++;
	} else {
		call.missing = static_cast<u32>(index_.absent_from(call.at(), want - counted));
	}
	return {};
}

// Pins what is missing, and maps it for the device.
Result<void> Pins::fetch(PinCall &call)
{
	const u32 n = call.missing;
	u64 *const pages = call.pages.pages();

	TRY(Result<void>::from_negative(
		shim_vfio_pin(vdev_, call.at() << kPageShift, n, call.prot, pages)));
	shim_pages_to_pfns(pages, n);
	call.fetched_at = call.at();

	const Result<void> mapped = dma_dev_ ? map_pages(call, n) : Result<void>();
	if (!mapped.ok()) {
		release_pages(call.fetched_at, n);
		return mapped;
	}
	for (u32 i = 0; i < n; i++)
		pages[i] |= mark_of(call.prot);
	call.fetched = n;
	return {};
}

// All or none. Each by itself, for each may be unpinned by itself.
Result<void> Pins::map_pages(PinCall &call, u32 npages)
{
	u64 *const dma = call.dma.pages();

	for (u32 i = 0; i < npages; i++)
		if (shim_dma_map(dma_dev_, call.pages.pages()[i], direction_, dma + i) < 0) {
			while (i--)
				shim_dma_unmap(dma_dev_, dma[i], direction_);
			return Error(EIO);
		}
	return {};
}

Result<void> Pins::insert_locked(PinCall &call)
{
	const u64 n = call.fetched;

	for (u64 i = 0; i < n;) {
		i += index_.absent_from(call.at() + i, n - i);

		const u64 pinned = index_.pinned_from(call.at() + i, n - i);
		call.surplus.add(i, pinned);
		i += pinned;
	}
	TRY(index_.pin(call.at(), n, call.pages.pages(), dma_dev_ ? call.dma.pages() : nullptr));
	call.done += n;
	call.missing = 0;
	return {};
}

void Pins::release_surplus(PinCall &call)
{
	const u32 n = exchange(call.fetched, 0u);

	if (call.surplus.empty())
		return;
	for (u32 i = 0; i < n;) {
		u32 end = i;

		for (; end < n && call.surplus.has(end); end++)
			if (dma_dev_)
				shim_dma_unmap(dma_dev_, call.dma.pages()[end], direction_);
		release_pages(call.fetched_at + i, end - i);
		i = end == i ? i + 1 : end;
	}
	call.surplus.clear();
}

} // namespace vfio
