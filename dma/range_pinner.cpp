// SPDX-License-Identifier: GPL-2.0
#include "range_pinner.hpp"

#include "pin_batch.hpp"
#include "shim/lock.h"

namespace vfio {

[[gnu::noinline]] void unpin_runs(PinRuns &runs, bool dirty)
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

Result<void> RangePinner::pin_batches()
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
			outcome_.fail_over_limit();
		TRY(charged);
		charged_ += charge;
		if (at - 1 == range_.last)
			return {};
		if (outcome_.failed() || shim_killed())
			return Error(EINTR);
		shim_cond_resched();
	}
}

Result<u64> RangePinner::record(Batch &batch, Iova &iova)
{
	u64 charge = 0;

	while (!batch.empty()) {
		const PinRun run = batch.take();
		const Iova next = iova + run.npages() * kPageSize;
		const Result<void> appended = runs_.append(run);

		if (!appended.ok()) [[unlikely]] {
			if (run.pinned())
				shim_unpin(run.first().value, run.npages(), dma_.writable());
			return appended.error();
		}
		if (run.kind() == PinKind::kCounted)
			charge += run.npages() -
				  dma_.external.counted_in(dma_.page_index(iova), run.npages());
		iova = next;
	}
	return charge;
}

Result<UniquePtr<ParallelPinner>> ParallelPinner::create(const DmaRange &dma, mm_struct *mm,
							 u32 count)
{
	constexpr u64 kHuge = u64{2} << 20;
	UniquePtr<ParallelPinner> pinner = TRY(make<ParallelPinner>());
	const u64 step = dma.range().size() / count;
	Iova first = dma.range().first;

	for (u32 i = 1; i <= count; i++) {
		const u64 into = dma.uva_of(first + step).value % kHuge;
		const Iova last = i == count ? dma.range().last : first + (step - into - 1);
		RangePinner *part =
			TRY(make<RangePinner>(dma, mm, IovaRange{first, last}, pinner->outcome_))
				.release();

		pinner->parts_[pinner->count_++] = part;
		first = last + 1;
	}
	return pinner;
}

ParallelPinner::~ParallelPinner()
{
	for (u32 i = 0; i < count_; i++)
		destroy(parts_[i]);
}

void ParallelPinner::pin(mm_struct *mm)
{
	for (u32 i = 1; i < count_; i++)
		parts_[i]->worker = shim_worker_start(
			mm, [](void *part) { static_cast<RangePinner *>(part)->pin(); }, parts_[i]);
	for (u32 i = 0; i < count_; i++)
		if (!parts_[i]->worker)
			parts_[i]->pin();
	for (u32 i = 1; i < count_; i++) {
		if (!parts_[i]->worker)
			continue;
		if (!shim_worker_wait(parts_[i]->worker))
			outcome_.fail(Error(EINTR));
		shim_worker_join(parts_[i]->worker);
	}
}

Result<void> ParallelPinner::hand_over(DmaRange &dma)
{
	TRY(outcome_.result());
	for (u32 i = 0; i < count_; i++)
		TRY(parts_[i]->hand_over(dma));
	return {};
}

} // namespace vfio
