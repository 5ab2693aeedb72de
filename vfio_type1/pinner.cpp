// SPDX-License-Identifier: GPL-2.0
#include "pinner.hpp"

#include "core.h"
#include "pin_batch.hpp"
#include "pin_parts.hpp"

namespace vfio {

namespace {

// A thread more is worth its while for so many pages.
constexpr u64 kPagesAWorker = (u64{128} << 20) / kPageSize;

u32 workers_for(u64 npages)
{
	const u64 most = npages / kPagesAWorker;

	if (most < 2)
		return 1;

	const u32 asked = type1_param_pin_workers();
	return static_cast<u32>(
		min<u64>(most, min(asked ? asked : shim_online_cpus(), kMaxWorkers)));
}

// The usual page of a mapping that has no other. False if it is another, or
// cannot be pinned like this; nothing is done then. Errors: as charging gives.
Result<bool> pin_single(DmaRange &dma)
{
	const bool dirty = dma.writable();
	u64 page = 0;
	u64 pfn = 0;

	if (dma.owner().mm() != shim_current_mm() || dma.has_external() ||
	    shim_pin_own(dma.uva_of(dma.range().first).value, 1, dirty, &page) != 1)
		return false;
	(void)shim_page_run(&page, 1, &pfn);
	if (pfn & ~SHIM_PIN_PFN_MASK) [[unlikely]] {
		shim_unpin(pfn & SHIM_PIN_PFN_MASK, 1, false);
		return false;
	}

	const Result<void> charged = dma.charge(1);
	if (!charged.ok()) [[unlikely]] {
		shim_unpin(pfn, 1, false);
		return charged.error();
	}
	// The first run needs no memory.
	(void)dma.pins.append({Pfn{pfn}, 1, PinKind::kCounted});
	return true;
}

Result<void> pin_all(DmaRange &dma, mm_struct *mm)
{
	const u64 npages = dma.range().npages();
	const u32 workers = workers_for(npages);

	if (workers > 1) {
		UniquePtr<Parts> parts = TRY(Parts::of(dma, mm, workers));

		parts->pin(mm);
		return parts->hand_over(dma);
	}

	Outcome outcome;
	Part all(dma, mm, dma.range(), outcome);

	all.pin();
	TRY(outcome.result());
	return all.hand_over(dma);
}

Error failed(const DmaRange &dma, Error error)
{
	if (error == Error(ENOMEM))
		shim_log_warn("cannot pin %llu pages: out of memory or over RLIMIT_MEMLOCK",
			      dma.range().npages());
	return error;
}

} // namespace

Result<void> pin_range(DmaRange &dma)
{
	if (dma.range().npages() == 1) {
		Result<bool> pinned = pin_single(dma);

		if (!pinned.ok())
			return failed(dma, pinned.error());
		if (pinned.value()) [[likely]]
			return {};
	}

	const LiveMm live(dma.owner().mm());
	if (!live)
		return Error(ENODEV);

	const u64 charged_before = dma.charged();
	const Result<void> pinned = pin_all(dma, live.get());
	if (pinned.ok()) [[likely]]
		return {};
	unpin_range(dma);
	dma.uncharge_to(charged_before);
	return failed(dma, pinned.error());
}

Result<void> pin_external(const DmaRange &dma, Iova iova, u64 npages, u64 *pages)
{
	const LiveMm live(dma.owner().mm());
	if (!live)
		return Error(ENODEV);

	u64 done = 0;
	Defer undo([&] {
		for (u64 i = 0; i < done; i++)
			dma.release_external(pages[i], 1);
	});

	Batch batch(live.get(), dma.writable(), npages);
	while (done < npages) {
		TRY(batch.fill(dma.uva_of(iova + done * kPageSize), npages - done));
		while (!batch.empty()) {
			const PinRun run = batch.take();

			for (u64 i = 0; i < run.npages(); i++)
				pages[done++] = (run.first().value + i) |
						static_cast<u64>(run.kind()) << kPinKindShift;
			if (!run.pinned() && !shim_pfn_has_page(run.first().value))
				return Error(EINVAL);
		}
	}
	undo.dismiss();
	return {};
}

} // namespace vfio
