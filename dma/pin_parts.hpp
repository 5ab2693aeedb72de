// SPDX-License-Identifier: GPL-2.0
//
// Part and Parts: a dma range that one thread pins, or several at one time,
// each a part of it. What has been pinned and charged is a part's own until it
// is handed over, so that an error anywhere undoes all.
#pragma once

#include "dma/shim/worker.h"
#include "dma_range.hpp"

namespace vfio {

class Batch;

// Unpins all runs, and forgets them.
void unpin_runs(PinRuns &runs, bool dirty);

// What the parts of a dma range, pinned at one time, tell each other: the
// first error, on which all stop, and whether charging failed for the limit.
class Outcome : Immovable {
public:
	void fail(Error error)
	{
		int none = 0;

		__atomic_compare_exchange_n(&error_, &none, error.negative(), false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}

	// The owner could not be charged: RLIMIT_MEMLOCK.
	void fail_over_limit()
	{
		over_limit_.store(true);
		fail(Error(ENOMEM));
	}

	// Whether an ENOMEM is of RLIMIT_MEMLOCK; known when all have stopped.
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

// A part of a dma range that one thread pins and charges. What it has when it
// dies it undoes.
class Part : Immovable {
public:
	Part(const DmaRange &dma, mm_struct *mm, IovaRange range, Outcome &outcome)
		: dma_(dma), mm_(mm), range_(range), outcome_(outcome)
	{
	}

	~Part()
	{
		if (!runs_.empty())
			unpin_runs(runs_, dma_.writable());
		dma_.owner().uncharge(charged_);
	}

	// The outcome is told of an error.
	void pin()
	{
		const Result<void> pinned = pin_batches();

		if (!pinned.ok())
			outcome_.fail(pinned.error());
	}

	// Hands over all that it has. Errors: ENOMEM; it keeps it then.
	Result<void> hand_over(DmaRange &dma)
	{
		TRY(dma.pins.splice(runs_));
		dma.note_charge(vfio::exchange(charged_, u64{0}));
		return {};
	}

	// For the thread of its own that it may have.
	shim_worker *worker = nullptr;

private:
	Result<void> pin_batches();

	// Moves a batch, whose first page is for iova, into the record; returns
	// how many pages the owner is to be charged for. What is pinned from
	// outside is charged.
	Result<u64> record(Batch &batch, Iova &iova);

	const DmaRange &dma_;
	mm_struct *const mm_;
	const IovaRange range_;
	Outcome &outcome_;
	PinRuns runs_;
	u64 charged_ = 0;
};

constexpr u32 kMaxWorkers = 16;

// The parts of a dma range, in the order of their addresses.
class Parts : Immovable {
public:
	// Cuts it in count parts, between huge pages of the owner's.
	// Errors: ENOMEM.
	static Result<UniquePtr<Parts>> of(const DmaRange &dma, mm_struct *mm, u32 count);

	~Parts();

	// The caller pins the first part, and those for which there is no
	// thread.
	void pin(mm_struct *mm);

	// Whether pin() has failed because the owner is over RLIMIT_MEMLOCK.
	bool over_limit() const
	{
		return outcome_.over_limit();
	}

	// Hands all of it over. Errors: the first of a part's, ENOMEM; dma may
	// have some of it then.
	Result<void> hand_over(DmaRange &dma);

private:
	Outcome outcome_;
	u32 count_ = 0;
	Part *parts_[kMaxWorkers] = {};
};

} // namespace vfio
