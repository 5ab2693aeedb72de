// SPDX-License-Identifier: GPL-2.0
#include "owner.hpp"

#include "shim/cred.h"

namespace vfio {

Result<Owner> Owner::of_caller()
{
	mm_struct *mm = shim_current_mm();

	if (!mm)
		return Error(ENODEV);
	shim_mm_grab(mm);
	return Owner(shim_current_leader_get(), mm, shim_capable_ipc_lock());
}

Owner::Owner(Owner &&other)
	: task_(vfio::exchange(other.task_, nullptr)), mm_(vfio::exchange(other.mm_, nullptr)),
	  no_limit_(other.no_limit_)
{
}

Owner &Owner::operator=(Owner &&other)
{
	Owner old(vfio::move(*this));

	task_ = vfio::exchange(other.task_, nullptr);
	mm_ = vfio::exchange(other.mm_, nullptr);
	no_limit_ = other.no_limit_;
	return *this;
}

Owner::~Owner()
{
	if (!mm_)
		return;
	shim_task_put(task_);
	shim_mm_drop(mm_);
}

Result<void> Owner::charge(u64 npages) const
{
	if (npages == 0)
		return {};
	return Result<void>::from_negative(shim_mm_account(mm_, task_, npages, no_limit_));
}

void Owner::uncharge(u64 npages) const
{
	if (npages == 0)
		return;

	const LiveMm live(mm_);

	if (live)
		shim_mm_unaccount(live.get(), task_, npages);
}

} // namespace vfio
