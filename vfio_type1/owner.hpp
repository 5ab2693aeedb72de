// SPDX-License-Identifier: GPL-2.0
//
// Owner: whose memory a dma range maps, and who is charged for locking it.
//
// The task is the thread group leader of the process that mapped, for its
// RLIMIT_MEMLOCK; the address space is kept as an object only, so that a
// process may end while its memory is mapped for a device. LiveMm holds its
// memory for as long as pinning or copying takes.
#pragma once

#include "shim/mm.h"
#include "vocab/units.hpp"

namespace vfio {

class Owner {
public:
	// The calling process. Errors: ENODEV in a kthread.
	static Result<Owner> of_caller();

	Owner(Owner &&other);
	Owner &operator=(Owner &&other);
	~Owner();

	mm_struct *mm() const
	{
		return mm_;
	}

	// Charges pages to the address space, which is live.
	// Errors: ENOMEM over the limit, EINTR.
	Result<void> charge(u64 npages) const;

	// Undoes charge(); nothing is left to do if the process has gone.
	void uncharge(u64 npages) const;

private:
	Owner(task_struct *task, mm_struct *mm, bool no_limit)
		: task_(task), mm_(mm), no_limit_(no_limit)
	{
	}

	task_struct *task_;
	mm_struct *mm_;
	bool no_limit_;
};

class LiveMm : Pinned {
public:
	explicit LiveMm(mm_struct *mm) : mm_(shim_mm_get_live(mm) ? mm : nullptr)
	{
	}

	~LiveMm()
	{
		if (mm_)
			shim_mm_put_live(mm_);
	}

	explicit operator bool() const
	{
		return mm_ != nullptr;
	}

	mm_struct *get() const
	{
		return mm_;
	}

private:
	mm_struct *mm_;
};

} // namespace vfio
