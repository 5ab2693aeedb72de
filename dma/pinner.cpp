// SPDX-License-Identifier: GPL-2.0
#include "pinner.hpp"

#include "pin_batch.hpp"
#include "range_pinner.hpp"

namespace vfio {

namespace {

// Another thread saves time only if it pins so many pages.
constexpr u64 kPagesAWorker = (u64{128} << 20) / kPageSize;

// Returns how many threads pin npages pages; asked is the caller's wish, 0 for as
// many as there are CPUs. There is one thread, the caller, if the caller has a
// setting that a worker cannot take over: a worker's pages would come from other
// nodes, or be charged to other control groups.
u32 workers_for(u64 npages, u32 asked)
{
	const u64 most = npages / kPagesAWorker;

	if (most < 2 || shim_worker_cannot_take())
		return 1;
	return static_cast<u32>(
		min<u64>(most, min(asked ? asked : shim_caller_cpus(), kMaxWorkers)));
}

// Pins and charges a mapping of one page. Returns false, with nothing done, if
// the page is not an ordinary one of the caller's, or cannot be pinned or charged.
bool pin_single(DmaRange &dma)
{
	const bool dirty = dma.writable();
	u64 page = 0;
	u64 pfn = 0;

	if (dma.owner().mm() != shim_current_mm() || !dma.external.empty() ||
	    shim_pin_own(dma.uva_of(dma.range().first).value, 1, dirty, &page) != 1)
		return false;
	(void)shim_page_run(&page, 1, &pfn);
	if (pfn & ~SHIM_PIN_PFN_MASK) [[unlikely]] {
		shim_unpin(pfn & SHIM_PIN_PFN_MASK, 1, false);
		return false;
	}

	if (!dma.charge(1).ok()) [[unlikely]] {
		shim_unpin(pfn, 1, false);
		return false;
	}
	// The first run needs no memory.
	(void)dma.pins.append({Pfn{pfn}, 1, PinKind::kCounted});
	return true;
}

// Pins and charges a whole dma range. Sets over_limit to whether an ENOMEM means
// that the owner is over RLIMIT_MEMLOCK. On error dma may own some pins.
Result<void> pin_all(DmaRange &dma, mm_struct *mm, u32 asked, bool &over_limit)
{
	const u64 npages = dma.range().npages();
	const u32 workers = workers_for(npages, asked);

	if (workers > 1) {
		UniquePtr<ParallelPinner> parallel = TRY(ParallelPinner::create(dma, mm, workers));

		parallel->pin(mm);
		over_limit = parallel->over_limit();
		return parallel->hand_over(dma);
	}

	PinOutcome outcome;
	RangePinner all(dma, mm, dma.range(), outcome);

	all.pin();
	over_limit = outcome.over_limit();
	TRY(outcome.result());
	return all.hand_over(dma);
}

} // namespace

Result<void> pin_range(DmaRange &dma, iommu_group *group, u32 workers)
{
	if (dma.range().npages() == 1 && pin_single(dma)) [[likely]]
		return {};

	const LiveMm live(dma.owner().mm());
	if (!live)
		return Error(ENODEV);

	const u64 charged_before = dma.charged();
	bool over_limit = false;
	const Result<void> pinned = pin_all(dma, live.get(), workers, over_limit);
	if (pinned.ok()) [[likely]]
		return {};
	unpin_range(dma);
	dma.uncharge_to(charged_before);
	if (pinned.error() == Error(ENOMEM))
		dma.owner().log_enomem(group, "map", dma.range().npages(), over_limit);
	return pinned;
}

namespace {

u64 word_of(const PinRun &run)
{
	return run.first().value | static_cast<u64>(run.kind()) << kPinKindShift;
}

// Puts the kind of each page beside its pfn, in words that shim_page_pfns() has
// filled. Returns how many pages are charged.
u64 tell_kinds(u64 *words, u64 npages)
{
	u64 counted = 0;

	for (u64 i = 0; i < npages; i++) {
		const PinRun run = run_of(words[i], 1);

		counted += run.kind() == PinKind::kCounted;
		words[i] = word_of(run);
	}
	return counted;
}

// Looks up a page that could not be pinned; error is what pinning returned.
Result<void> borrow_external(mm_struct *mm, u64 uva, bool dirty, long error, u64 *word)
{
	const PinRun run = TRY(borrow(mm, uva, 1, dirty, error));

	if (!shim_pfn_has_page(run.first().value))
		return Error(EINVAL);
	*word = word_of(run);
	return {};
}

} // namespace

Result<void> pin_external(const DmaRange &dma, ExternalPages &pages)
{
	const LiveMm live(dma.owner().mm());
	const bool dirty = dma.writable();
	u64 done = 0;

	if (!live)
		return Error(ENODEV);
	while (done < pages.npages) {
		const u64 uva = dma.uva_of(pages.first + done * kPageSize).value;
		u64 *const next = pages.pages + done;
		const long got = pin_in(live.get(), uva, pages.npages - done, dirty, next);

		if (got <= 0) [[unlikely]] {
			const Result<void> borrowed =
				borrow_external(live.get(), uva, dirty, got, next);

			if (!borrowed.ok()) {
				ExternalPages before = pages;

				before.npages = done;
				ExternalPins::release(before, dirty);
				return borrowed;
			}
			done++;
			continue;
		}

		const u64 npages = static_cast<u64>(got);
		u64 pfn = 0;

		if (shim_page_run(next, npages, &pfn) == pages.npages &&
		    !(pfn & ~SHIM_PIN_PFN_MASK)) {
			pages.run = true;
			pages.run_word = pfn;
			pages.counted = npages;
			return {};
		}
		pages.counted += shim_page_pfns(next, npages) ? tell_kinds(next, npages) : npages;
		done += npages;
	}
	return {};
}

} // namespace vfio
