// SPDX-License-Identifier: GPL-2.0
#include "pinner.hpp"

#include "dma/shim/worker.h"
#include "pin_batch.hpp"
#include "shim/lock.h"

namespace vfio {

namespace {

// What the pinners of one dma range share: the first error, on which all of them
// stop, and whether the owner was over RLIMIT_MEMLOCK. An ENOMEM is ambiguous
// without the latter.
class PinOutcome : Immovable {
public:
	void fail(Error error)
	{
		int none = 0;

		__atomic_compare_exchange_n(&error_, &none, error.negative(), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}

	void set_over_limit()
	{
		over_limit_.store(true);
	}

	// Final once all pinners have stopped.
	bool over_limit() const
	{
		return over_limit_.load();
	}

	Result<void> result() const
	{
		return Result<void>::from_negative(__atomic_load_n(&error_, __ATOMIC_RELAXED));
	}

private:
	Atomic<bool> over_limit_{false};
	int error_ = 0;
};

// Unpins all runs and empties the record.
void unpin_runs(PinRuns &runs, bool dirty)
{
	(void)runs.try_each_array([dirty](const PinRun *array, u32 count) -> Result<void> {
		for (u32 i = 0; i < count; i++)
			if (array[i].pinned())
				shim_unpin(array[i].first().value, array[i].npages(), dirty);
		if (count > 1)
			shim_cond_resched();
		return {};
	});
	runs.clear();
}

// Pins range, a part of a dma range or all of it, in batches, and charges the owner.
// The destructor undoes what hand_over() has not moved to the dma range.
class RangePinner : Immovable {
public:
	// mm is the owner's address space, which is live.
	RangePinner(const DmaRange &dma, mm_struct *mm, IovaRange range, PinOutcome &outcome)
		: dma_(dma), mm_(mm), range_(range), outcome_(outcome)
	{
	}

	~RangePinner()
	{
		if (!runs_.empty())
			unpin_runs(runs_, dma_.writable());
		dma_.owner().uncharge(charged_);
	}

	// Errors go into the outcome.
	void pin()
	{
		const Result<void> pinned = pin_batches();

		if (!pinned.ok())
			outcome_.fail(pinned.error());
	}

	// Lets the dma range own the pins and the charge. Errors: ENOMEM; they stay
	// here then.
	Result<void> hand_over(DmaRange &dma)
	{
		TRY(dma.pins.splice(runs_));
		dma.note_charge(vfio::exchange(charged_, u64{0}));
		dma.has_borrowed |= borrowed_;
		return {};
	}

	// The thread in which pin() runs; nullptr if the caller runs it.
	shim_worker *worker = nullptr;

private:
	Result<void> pin_batches()
	{
		const u64 npages = range_.npages();
		Iova at = range_.first;
		Batch batch(mm_, dma_.writable(), npages);

		for (;;) {
			const u64 done = (at - range_.first) >> kPageShift;

			TRY(batch.fill(dma_.uva_of(at), npages - done));

			const u64 charge = TRY(record(batch, at));
			const Result<void> charged = dma_.owner().charge(charge);
			if (charged.error() == Error(ENOMEM)) [[unlikely]]
				outcome_.set_over_limit();
			TRY(charged);
			charged_ += charge;
			if (at - 1 == range_.last)
				return {};
			if (!outcome_.result().ok() || shim_killed())
				return Error(EINTR);
			shim_cond_resched();
		}
	}

	// Moves all pages of a batch, the first of which is for iova, into the
	// record, and sets iova to what follows. Returns for how many pages the
	// owner must be charged: those that count, except external ones, which are
	// charged already. Errors: ENOMEM.
	Result<u64> record(Batch &batch, Iova &iova)
	{
		u64 charge = 0;

		while (!batch.empty()) {
			const PinRun run = batch.take();
			const Result<void> appended = runs_.append(run);

			if (!appended.ok()) [[unlikely]] {
				if (run.pinned())
					shim_unpin(run.first().value, run.npages(),
						   dma_.writable());
				return appended.error();
			}
			if (run.borrowed())
				borrowed_ = true;
			if (run.kind() == PinKind::kCounted)
				charge += run.npages() -
					  dma_.external.counted_in(dma_.page_index(iova),
								   run.npages());
			iova = iova + run.npages() * kPageSize;
		}
		return charge;
	}

	const DmaRange &dma_;
	mm_struct *const mm_;
	const IovaRange range_;
	PinOutcome &outcome_;
	PinRuns runs_;
	bool borrowed_ = false;
	u64 charged_ = 0;
};

constexpr u32 kMaxWorkers = 16;

// Another thread saves time only if it pins so many pages.
constexpr u64 kPagesAWorker = (u64{128} << 20) / kPageSize;

// Returns how many threads pin npages pages; asked is the caller's wish, 0 for as
// many as there are CPUs. The caller pins alone if it has a setting that a worker
// cannot take over: a worker's pages would come from other nodes, or be charged to
// other control groups.
u32 workers_for(u64 npages, u32 asked)
{
	const u64 most = npages / kPagesAWorker;

	if (most < 2 || shim_caller_is_special())
		return 1;
	return static_cast<u32>(
		min<u64>(most, min(asked ? asked : shim_caller_cpus(), kMaxWorkers)));
}

// Pins and charges a dma range in count parts, each in a thread. They end between huge
// pages of the owner's. The calling thread pins the first part, and those for which no
// thread could be started. On error dma may own some pins.
Result<void> pin_parallel(DmaRange &dma, mm_struct *mm, u32 count, PinOutcome &outcome)
{
	constexpr u64 kHuge = u64{2} << 20;
	UniquePtr<RangePinner> parts[kMaxWorkers];
	const u64 step = dma.range().size() / count;
	Iova first = dma.range().first;

	for (u32 i = 0; i < count; i++) {
		const u64 into = dma.uva_of(first + step).value % kHuge;
		const Iova last = i + 1 == count ? dma.range().last : first + (step - into - 1);

		parts[i] = TRY(make<RangePinner>(dma, mm, IovaRange{first, last}, outcome));
		first = last + 1;
	}

	for (u32 i = 1; i < count; i++)
		parts[i]->worker = shim_worker_start(
			mm, [](void *part) { static_cast<RangePinner *>(part)->pin(); },
			parts[i].get());
	for (u32 i = 0; i < count; i++)
		if (!parts[i]->worker)
			parts[i]->pin();
	for (u32 i = 1; i < count; i++) {
		if (!parts[i]->worker)
			continue;
		if (!shim_worker_wait(parts[i]->worker))
			outcome.fail(Error(EINTR));
		shim_worker_join(parts[i]->worker);
	}

	TRY(outcome.result());
	for (u32 i = 0; i < count; i++)
		TRY(parts[i]->hand_over(dma));
	return {};
}

// Pins and charges a mapping of one page. Returns false, with nothing done, if the
// page is not the caller's own, has no struct page, or cannot be pinned or charged.
bool pin_single(DmaRange &dma)
{
	const bool dirty = dma.writable();
	PageHandle page = {};
	PinPage first = {};

	if (dma.owner().mm() != shim_current_mm() || !dma.external.empty() ||
	    shim_pin_own(dma.uva_of(dma.range().first).value, 1, dirty, &page.value) != 1)
		return false;
	(void)page_run(&page, 1, first);

	const PinRun run(first, 1);

	if (!dma.charge(run.kind() == PinKind::kCounted).ok()) [[unlikely]] {
		shim_unpin(run.first().value, 1, false);
		return false;
	}
	// The first run needs no memory.
	(void)dma.pins.append(run);
	return true;
}

// Pins and charges a whole dma range. On error dma may own some pins.
Result<void> pin_all(DmaRange &dma, mm_struct *mm, u32 asked, PinOutcome &outcome)
{
	const u32 workers = workers_for(dma.range().npages(), asked);

	if (workers > 1)
		return pin_parallel(dma, mm, workers, outcome);

	RangePinner all(dma, mm, dma.range(), outcome);

	all.pin();
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
	PinOutcome outcome;
	const Result<void> pinned = pin_all(dma, live.get(), workers, outcome);
	if (pinned.ok()) [[likely]]
		return {};
	unpin_range(dma);
	dma.uncharge_to(charged_before);
	if (pinned.error() == Error(ENOMEM))
		dma.owner().log_enomem(group, "map", dma.range().npages(), outcome.over_limit());
	return pinned;
}

void unpin_range(DmaRange &dma)
{
	unpin_runs(dma.pins, dma.writable());
	dma.has_borrowed = false;
	dma.remapped.reset();
}

namespace {

// Looks up a page that could not be pinned; error is what pinning returned.
Result<void> borrow_external(mm_struct *mm, u64 uva, bool dirty, long error, PinPage &page)
{
	const PinRun run = TRY(borrow(mm, uva, 1, dirty, error));

	if (!shim_pfn_has_page(run.first().value))
		return Error(EINVAL);
	page = run.first_page();
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
		PageHandle *const next = pages.handles + done;
		const long got = pin_in(live.get(), uva, pages.npages - done, dirty, next);

		if (got <= 0) [[unlikely]] {
			const Result<void> borrowed =
				borrow_external(live.get(), uva, dirty, got, pages.pages()[done]);

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
		PinPage first = {};

		if (page_run(next, npages, first) == pages.npages) {
			pages.run = true;
			pages.run_first = first;
			if (PinRun(first, npages).kind() == PinKind::kCounted)
				pages.counted = npages;
			return {};
		}
		pages.counted += npages - shim_page_pfns(&next->value, npages);
		done += npages;
	}
	return {};
}

} // namespace vfio
