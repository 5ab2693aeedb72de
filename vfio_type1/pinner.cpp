// SPDX-License-Identifier: GPL-2.0
//
// Memory is pinned in batches, so that what is pinned and not recorded yet has
// a bound, and accounting is paid once a batch.
#include "pinner.hpp"

#include "shim/lock.h"
#include "shim/pin.h"

namespace vfio {

namespace {

PinRun run_of(u64 pfn_and_marks, u64 npages)
{
	const Pfn pfn{pfn_and_marks & SHIM_PIN_PFN_MASK};

	if (pfn_and_marks & SHIM_PIN_ZERO)
		return {pfn, npages, PinKind::kBorrowed};
	if (pfn_and_marks & SHIM_PIN_RESERVED)
		return {pfn, npages, PinKind::kReserved};
	return {pfn, npages, PinKind::kCounted};
}

// Pages that were pinned and have no record yet, taken out as runs. What is
// not taken out is unpinned at the end.
class Batch : Pinned {
public:
	// For up to npages in all.
	Batch(mm_struct *mm, bool dirty, u64 npages) : mm_(mm), dirty_(dirty)
	{
		if (npages == 1)
			return;
		page_ = static_cast<u64 *>(shim_alloc_page());
		if (page_) {
			pages_ = page_;
			capacity_ = kPageSize / sizeof(u64);
		}
	}

	~Batch()
	{
		while (!empty())
			if (const PinRun run = take(); run.pinned())
				shim_unpin(run.first().value, run.npages(), dirty_);
		if (page_)
			shim_free_page(page_);
	}

	// Pins up to npages from uva on, when it is empty.
	Result<void> fill(UserVa uva, u64 npages)
	{
		const u64 wanted = min(npages, capacity_);
		const long got = mm_ == shim_current_mm() ?
					 shim_pin_own(uva.value, wanted, dirty_, pages_) :
					 shim_pin_remote(mm_, uva.value, wanted, dirty_, pages_);

		taken_ = count_ = 0;
		if (got > 0) [[likely]] {
			count_ = static_cast<u64>(got);
			return {};
		}

		// No page to pin, but perhaps a device's memory.
		u64 pfn = 0;
		if (shim_follow_pfn(mm_, uva.value, dirty_, &pfn) < 0)
			return Error::from_negative(got);
		if (!(pfn & SHIM_PIN_RESERVED))
			return Error(EFAULT);
		borrowed_ = run_of(pfn | SHIM_PIN_ZERO, 1);
		return {};
	}

	bool empty() const
	{
		return taken_ == count_ && borrowed_.npages() == 0;
	}

	// The run at the front, which is the caller's then.
	PinRun take()
	{
		if (borrowed_.npages()) [[unlikely]]
			return vfio::exchange(borrowed_, PinRun());

		u64 pfn = 0;
		const u64 npages = shim_page_run(pages_ + taken_, count_ - taken_, &pfn);

		taken_ += npages;
		if (pfn & SHIM_PIN_ZERO) [[unlikely]]
			release_zero_page(pfn, npages);
		return run_of(pfn, npages);
	}

private:
	// The zero page stays without being pinned, and a count of its users
	// would only ever grow.
	static void release_zero_page(u64 pfn, u64 npages)
	{
		for (u64 i = 0; i < npages; i++)
			shim_unpin(pfn & SHIM_PIN_PFN_MASK, 1, false);
	}

	mm_struct *const mm_;
	const bool dirty_;
	u64 single_ = 0;
	u64 *page_ = nullptr;
	u64 *pages_ = &single_;
	u64 capacity_ = 1;
	u64 taken_ = 0;
	u64 count_ = 0;
	PinRun borrowed_;
};

// Moves a batch, whose first page is for iova, into the record; gives how many
// pages the owner is to be charged for. What is pinned from outside is charged.
Result<u64> record(DmaRange &dma, Batch &batch, Iova &iova)
{
	u64 charge = 0;

	while (!batch.empty()) {
		const PinRun run = batch.take();
		const Iova next = iova + run.npages() * kPageSize;
		const Result<void> appended = dma.pins.append(run);

		if (!appended.ok()) [[unlikely]] {
			if (run.pinned())
				shim_unpin(run.first().value, run.npages(), dma.writable());
			return appended.error();
		}
		if (run.kind() == PinKind::kCounted)
			charge += run.npages() - dma.external_counted_in({iova, {next.value - 1}});
		iova = next;
	}
	return charge;
}

// The usual page of a mapping that has no other. False if it is another, or
// cannot be pinned like this; nothing is done then. Errors: as charging gives.
Result<bool> pin_single(DmaRange &dma, mm_struct *mm)
{
	const bool dirty = dma.writable();
	u64 page = 0;
	u64 pfn = 0;

	if (mm != shim_current_mm() || dma.has_external() ||
	    shim_pin_own(dma.uva_of(dma.range().first).value, 1, dirty, &page) != 1)
		return false;
	(void)shim_page_run(&page, 1, &pfn);
	if (pfn & ~SHIM_PIN_PFN_MASK) [[unlikely]] {
		shim_unpin(pfn & SHIM_PIN_PFN_MASK, 1, false);
		return false;
	}
	// The first run needs no memory.
	(void)dma.pins.append({Pfn{pfn}, 1, PinKind::kCounted});
	TRY(dma.charge(1));
	return true;
}

Result<void> pin_batches(DmaRange &dma, mm_struct *mm)
{
	const u64 npages = dma.range().npages();
	Iova at = dma.range().first;

	if (npages == 1 && TRY(pin_single(dma, mm)))
		return {};

	Batch batch(mm, dma.writable(), npages);

	for (;;) {
		const u64 done = (at - dma.range().first) >> kPageShift;

		TRY(batch.fill(dma.uva_of(at), npages - done));
		TRY(dma.charge(TRY(record(dma, batch, at))));
		if (at - 1 == dma.range().last)
			return {};
		shim_cond_resched();
	}
}

} // namespace

Result<void> pin_range(DmaRange &dma)
{
	const LiveMm live(dma.owner().mm());
	if (!live)
		return Error(ENODEV);

	const u64 charged_before = dma.charged();
	Result<void> result = pin_batches(dma, live.get());
	if (!result.ok()) {
		unpin_range(dma);
		dma.uncharge_to(charged_before);
		if (result.error() == Error(ENOMEM))
			shim_log_warn("cannot pin %llu pages: out of memory or over RLIMIT_MEMLOCK",
				      dma.range().npages());
	}
	return result;
}

void unpin_range(DmaRange &dma)
{
	const bool dirty = dma.writable();

	if (const PinRun *single = dma.pins.single(); single && single->pinned()) [[likely]] {
		shim_unpin(single->first().value, single->npages(), dirty);
		dma.pins.clear();
		return;
	}
	(void)dma.pins.try_each_array([dirty](const PinRun *runs, u32 count) -> Result<void> {
		for (u32 i = 0; i < count; i++)
			if (runs[i].pinned())
				shim_unpin(runs[i].first().value, runs[i].npages(), dirty);
		if (count > 1)
			shim_cond_resched();
		return {};
	});
	dma.pins.clear();
}

Result<UniquePtr<ExternalPin>> pin_external(const DmaRange &dma, Iova iova)
{
	const LiveMm live(dma.owner().mm());
	if (!live)
		return Error(ENODEV);

	Batch batch(live.get(), dma.writable(), 1);
	TRY(batch.fill(dma.uva_of(iova), 1));

	const PinRun run = batch.take();
	Result<UniquePtr<ExternalPin>> pin =
		make<ExternalPin>(iova, run.first(), run.kind(), dma.writable());
	if (!pin.ok() && run.pinned())
		shim_unpin(run.first().value, 1, dma.writable());
	if (pin.ok() && !shim_pfn_has_page(run.first().value))
		return Error(EINVAL);
	return pin;
}

} // namespace vfio
