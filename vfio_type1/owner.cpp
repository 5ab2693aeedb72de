// SPDX-License-Identifier: GPL-2.0
#include "owner.hpp"

#include "shim/cred.h"

namespace vfio {

Result<RefPtr<Owner>> Owner::of_caller(const RefPtr<Owner> &known)
{
	mm_struct *mm = shim_current_mm();
	const bool no_limit = shim_capable_ipc_lock();

	if (!mm)
		return Error(ENODEV);

	task_struct *task = shim_current_leader_get();
	if (known && known->mm_ == mm && known->task_ == task && known->no_limit_ == no_limit) {
		shim_task_put(task);
		return known;
	}

	shim_mm_grab(mm);
	Result<UniquePtr<Owner>> made = make<Owner>(task, mm, no_limit);
	if (!made.ok()) {
		shim_task_put(task);
		shim_mm_drop(mm);
		return made.error();
	}
	return RefPtr<Owner>::adopt(made.value().release());
}

Owner::~Owner()
{
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
