// SPDX-License-Identifier: GPL-2.0
//
// Owner: the process whose memory dma ranges map, and that is charged for the pages
// that are pinned. All that a process maps in one address space has the same owner,
// as long as the credentials of the process stay the same.
//
// An owner refers to the thread group leader, whose RLIMIT_MEMLOCK counts, and to
// the process's address space. It does not keep memory mapped there: the process may
// exit while devices use pinned pages. A LiveMm keeps the memory mapped, as long as
// pinning or copying takes.
#pragma once

#include "dma/shim/iommu.h"
#include "dma/shim/mm.h"
#include "vocab/memory.hpp"
#include "vocab/units.hpp"

namespace vfio {

class Owner : Immovable {
public:
	// Sets known to the owner of the calling process, unless it is that owner
	// already. Errors: ENODEV in a kthread, ENOMEM.
	static Result<void> of_caller(RefPtr<Owner> &known)
	{
		if (known && shim_caller_is(&known->process_)) [[likely]]
			return {};
		return make_of_caller(known);
	}

	// Owns the references in process from now on. no_limit: RLIMIT_MEMLOCK does
	// not limit what may be charged.
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

	// Charges npages pages to the process, whose memory is live.
	// Errors: ENOMEM over the limit, EINTR.
	Result<void> charge(u64 npages) const;

	// Charges pages that are pinned already, whatever the limit. Returns false if
	// the process has gone or the caller is being killed.
	bool charge_over_limit(u64 npages) const;

	// Undoes charge(). Does nothing if the process has gone.
	void uncharge(u64 npages) const;

	// Logs that npages pages could not be pinned or charged, because the owner is
	// over RLIMIT_MEMLOCK (over_limit) or there is no memory. doing is the verb of
	// the message, "map" for example. The message names a device of group.
	void log_enomem(iommu_group *group, const char *doing, u64 npages, bool over_limit) const;

	// What is said of the process where mappings are shown.
	struct Description {
		char name[SHIM_TASK_NAME] = "";
		s32 pid = 0;
		// The process's RLIMIT_MEMLOCK in bytes; all ones if it has no limit.
		u64 memlock = 0;
		// What is charged to it, by VFIO and by others.
		u64 locked_pages = 0;
	};

	Description describe() const;

private:
	static Result<void> make_of_caller(RefPtr<Owner> &known);

	RefCount refs_;
	const shim_caller process_;
	const bool no_limit_;
};

// Keeps the memory of a process from being freed. It is false if the process has
// exited.
class LiveMm : Immovable {
public:
	explicit LiveMm(mm_struct *mm) : mm_(mm)
	{
		// The calling process cannot exit during the call.
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
