// SPDX-License-Identifier: GPL-2.0
//
// Memory is pinned in batches, so that the mmap lock is not held for long and
// accounting is paid once a batch.
#include "pinner.hpp"

#include "shim/lock.h"
#include "shim/pin.h"

namespace vfio {

namespace {

Pfn pfn_of(u64 pin)
{
	return {pin & SHIM_PIN_PFN_MASK};
}

PinKind kind_of(u64 pin)
{
	if (pin & SHIM_PIN_ZERO)
		return PinKind::kBorrowed;
	if (pin & SHIM_PIN_RESERVED)
		return PinKind::kReserved;
	return PinKind::kCounted;
}

// Room for the pins of a batch: a page of them, or one if memory is short.
// What is in it and not taken out is unpinned at the end.
class Batch : Pinned {
public:
	explicit Batch(bool dirty)
		: page_(static_cast<u64 *>(shim_alloc(kPageSize))), pins_(page_ ? page_ : &single_),
		  capacity_(page_ ? kPageSize / sizeof(u64) : 1), dirty_(dirty)
	{
	}

	~Batch()
	{
		drop();
		shim_free(page_);
	}

	// Pins up to npages from uva on; gives how many.
	Result<u64> fill(mm_struct *mm, UserVa uva, u64 npages)
	{
		drop();
		const long got = shim_pin_user(mm, uva.value, min(npages, capacity_), dirty_, pins_);
		if (got > 0) {
			count_ = static_cast<u64>(got);
			release_zero_pages();
			return count_;
		}

		// No page to pin, but perhaps a device's memory.
		u64 pfn = 0;
		const int ret = shim_follow_pfn(mm, uva.value, dirty_, &pfn);
		if (ret < 0)
			return Error::from_negative(got);
		if (!(pfn & SHIM_PIN_RESERVED))
			return Error(EFAULT);
		pins_[0] = pfn | SHIM_PIN_ZERO;
		count_ = 1;
		return count_;
	}

	u64 counted() const
	{
		u64 counted = 0;

		for (u64 i = taken_; i < count_; i++)
			counted += kind_of(pins_[i]) == PinKind::kCounted;
		return counted;
	}

	bool empty() const
	{
		return taken_ == count_;
	}

	// The run at the front; take() it when it has a new owner.
	PinRun front() const
	{
		PinRun run(pfn_of(pins_[taken_]), 1, kind_of(pins_[taken_]));

		for (u64 i = taken_ + 1; i < count_; i++)
			if (!run.extend(PinRun(pfn_of(pins_[i]), 1, kind_of(pins_[i]))))
				break;
		return run;
	}

	void take(const PinRun &run)
	{
		taken_ += run.npages();
	}

private:
	// The zero page stays without being pinned, and a count of its users
	// would only ever grow.
	void release_zero_pages()
	{
		for (u64 i = 0; i < count_; i++)
			if (pins_[i] & SHIM_PIN_ZERO)
				shim_unpin(pfn_of(pins_[i]).value, 1, false);
	}

	void drop()
	{
		while (!empty()) {
			const PinRun run = front();

			if (run.pinned())
				shim_unpin(run.first().value, run.npages(), dirty_);
			take(run);
		}
		taken_ = count_ = 0;
	}

	u64 *const page_;
	u64 single_ = 0;
	u64 *const pins_;
	const u64 capacity_;
	const bool dirty_;
	u64 taken_ = 0;
	u64 count_ = 0;
};

Result<void> pin_batches(DmaRange &dma, mm_struct *mm)
{
	const IovaRange range = dma.range();
	Batch batch(dma.writable());
	u64 left = range.npages();
	Iova at = range.first;

	while (left) {
		shim_cond_resched();

		const u64 npages = TRY(batch.fill(mm, dma.uva_of(at), left));
		const IovaRange part{at, at + (npages * kPageSize - 1)};

		TRY(dma.charge(batch.counted() - dma.external_counted_in(part)));
		while (!batch.empty()) {
			const PinRun run = batch.front();

			TRY(dma.pins.append(run));
			batch.take(run);
		}
		at = at + npages * kPageSize;
		left -= npages;
	}
	return {};
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

	dma.pins.each([&](const PinRun &run) {
		if (run.pinned())
			shim_unpin(run.first().value, run.npages(), dirty);
		shim_cond_resched();
	});
	dma.pins.clear();
}

Result<ExternalPin *> pin_external(DmaRange &dma, Iova iova, bool charge)
{
	const LiveMm live(dma.owner().mm());
	if (!live)
		return Error(ENODEV);

	Batch batch(dma.writable());
	TRY(batch.fill(live.get(), dma.uva_of(iova), 1));

	const PinRun run = batch.front();
	if (!shim_pfn_has_page(run.first().value))
		return Error(EINVAL);

	UniquePtr<ExternalPin> pin =
		TRY(make<ExternalPin>(iova, run.first(), run.kind()));
	if (charge && pin->counted())
		TRY(dma.charge(1));
	batch.take(run);
	dma.add_external(*pin);
	return pin.release();
}

} // namespace vfio
