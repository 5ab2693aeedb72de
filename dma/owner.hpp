// SPDX-License-Identifier: GPL-2.0
//
// Owner: whose memory dma ranges map, and who is charged for locking it.
//
// The task is the thread group leader of the process that mapped, for its
// RLIMIT_MEMLOCK; the address space is kept as an object only, so that a
// process may end while its memory is mapped for a device. LiveMm holds its
// memory for as long as pinning or copying takes. All that a process maps in
// a container has one owner, as long as its credentials stay.
#pragma once

#include "dma/shim/iommu.h"
#include "dma/shim/mm.h"
#include "vocab/memory.hpp"
#include "vocab/units.hpp"

namespace vfio {

class Owner : Immovable {
public:
	// Sets known to the owner of the calling process, unless it is that owner
	// already.
	// Errors: ENODEV in a kthread, ENOMEM.
	static Result<void> of_caller(RefPtr<Owner> &known)
	{
		if (known && shim_caller_is(&known->process_)) [[likely]]
			return {};
		return make_of_caller(known);
	}

	// Takes the references over. no_limit: RLIMIT_MEMLOCK does not bind.
	Owner(const shim_caller &process, bool no_limit) : process_(process), no_limit_(no_limit)
	{
	}

	~Owner()
	{
		shim_caller_put(&process_);
	}

	RefCount &refs()
	{
		return refs_;
	}

	mm_struct *mm() const
	{
		return process_.mm;
	}

	// Charges pages to the address space, which is live.
	// Errors: ENOMEM over the limit, EINTR.
	Result<void> charge(u64 npages) const;

	// For pages that are pinned already. False if the process has gone or
	// this one is killed.
	bool charge_over_limit(u64 npages) const;

	// Undoes charge(); nothing is left to do if the process has gone.
	void uncharge(u64 npages) const
	{
		if (npages == 0)
			return;
		// The caller's own lives as long as the call.
		if (process_.mm == shim_current_mm()) [[likely]]
			shim_mm_unaccount(process_.mm, process_.leader, npages);
		else
			uncharge_other(npages);
	}

	// Logs that npages pages could not be had, and why: over_limit means
	// that the owner is over RLIMIT_MEMLOCK, else there is no memory. group
	// is one that the pages were for. doing is the verb of the message, "map"
	// for example.
	void log_enomem(iommu_group *group, const char *doing, u64 npages, bool over_limit) const;

private:
	static Result<void> make_of_caller(RefPtr<Owner> &known);
	void uncharge_other(u64 npages) const;

	RefCount refs_;
	const shim_caller process_;
	const bool no_limit_;
};

class LiveMm : Immovable {
public:
	explicit LiveMm(mm_struct *mm) : mm_(mm)
	{
		// The caller's own lives as long as the call.
		if (mm == shim_current_mm())
			return;
		held_ = shim_mm_get_live(mm);
		if (!held_)
			mm_ = nullptr;
	}

	~LiveMm()
	{
		if (held_)
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
	bool held_ = false;
};

} // namespace vfio
