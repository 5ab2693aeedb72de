// SPDX-License-Identifier: GPL-2.0
//
// RangePinner pins and charges addresses of a dma range, in batches; it owns what
// it has pinned until the dma range takes that over, so that an error undoes all.
// ParallelPinner pins a large dma range by several of them, each in a thread.
#pragma once

#include "dma/shim/worker.h"
#include "dma_range.hpp"

namespace vfio {

class Batch;

// Unpins all runs, and empties the record.
void unpin_runs(PinRuns &runs, bool dirty);

// Shared by the pinners of one dma range: the first error, on which all of them
// stop, and whether the owner was over its limit.
class PinOutcome : Immovable {
public:
	void fail(Error error)
	{
		int none = 0;

		__atomic_compare_exchange_n(&error_, &none, error.negative(), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}

	// The owner could not be charged, because of RLIMIT_MEMLOCK.
	void fail_over_limit()
	{
		over_limit_.store(true);
		fail(Error(ENOMEM));
	}

	// Whether an ENOMEM is because of RLIMIT_MEMLOCK. Known once all pinners have
	// stopped.
	bool over_limit() const
	{
		return over_limit_.load();
	}

	bool failed() const
	{
		return __atomic_load_n(&error_, __ATOMIC_RELAXED) != 0;
	}

	Result<void> result() const
	{
		return Result<void>::from_negative(__atomic_load_n(&error_, __ATOMIC_RELAXED));
	}

private:
	Atomic<bool> over_limit_{false};
	int error_ = 0;
};

// Pins range, a part of a dma range or all of it, and charges the owner. Its
// destructor undoes what has not been handed over.
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
		return {};
	}

	// The thread in which pin() runs; nullptr if the caller runs it.
	shim_worker *worker = nullptr;

private:
	Result<void> pin_batches();

	// Moves all pages of a batch, the first of which is for iova, into the
	// record, and sets iova to what follows. Returns how many pages the owner
	// is to be charged for: those that count, but for external ones, which
	// are charged already. Errors: ENOMEM.
	Result<u64> record(Batch &batch, Iova &iova);

	const DmaRange &dma_;
	mm_struct *const mm_;
	const IovaRange range_;
	PinOutcome &outcome_;
	PinRuns runs_;
	u64 charged_ = 0;
};

constexpr u32 kMaxWorkers = 16;

class ParallelPinner : Immovable {
public:
	// Cuts a dma range in count parts, between huge pages of the owner's.
	// Errors: ENOMEM.
	static Result<UniquePtr<ParallelPinner>> create(const DmaRange &dma, mm_struct *mm,
							u32 count);

	~ParallelPinner();

	// Pins all parts. The calling thread pins the first, and those for which no
	// thread could be started.
	void pin(mm_struct *mm);

	// Whether pin() has failed because the owner is over RLIMIT_MEMLOCK.
	bool over_limit() const
	{
		return outcome_.over_limit();
	}

	// Lets the dma range own all pins and charges. Errors: the first error of a
	// pinner, ENOMEM; dma may own some of them then.
	Result<void> hand_over(DmaRange &dma);

private:
	PinOutcome outcome_;
	u32 count_ = 0;
	// In the order of their addresses.
	RangePinner *parts_[kMaxWorkers] = {};
};

} // namespace vfio
