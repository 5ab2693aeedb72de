// SPDX-License-Identifier: GPL-2.0
#include "owner.hpp"

#include "shim/cred.h"
#include "shim/log.h"

namespace vfio {

Result<void> Owner::make_of_caller(RefPtr<Owner> &known)
{
	shim_caller process = {};

	if (!shim_current_mm())
		return Error(ENODEV);
	shim_caller_get(&process);

	Result<UniquePtr<Owner>> made = make<Owner>(process, shim_capable_ipc_lock());
	if (!made.ok()) {
		shim_caller_put(&process);
		return made.error();
	}
	known = RefPtr<Owner>::adopt(made.value().release());
	return {};
}

Result<void> Owner::charge(u64 npages) const
{
	if (npages == 0)
		return {};
	return Result<void>::from_negative(
		shim_mm_account(process_.mm, process_.leader, npages, no_limit_));
}

void Owner::log_enomem(iommu_group *group, const char *doing, u64 npages, bool over_limit) const
{
	char device[SHIM_DEVICE_NAME];
	shim_task_info task;

	shim_group_device_name(group, device);
	shim_task_describe(process_.leader, &task);
	shim_log_warn("%s: task %s (%d) cannot %s %llu pages: %s %llu bytes: error %d", device,
		      task.name, task.pid, doing, npages,
		      over_limit ? "over RLIMIT_MEMLOCK of" : "out of memory, RLIMIT_MEMLOCK is",
		      task.memlock, Error(ENOMEM).negative());
}

Owner::Description Owner::describe() const
{
	shim_task_info task;
	Description description;

	shim_task_describe(process_.leader, &task);
	__builtin_memcpy(description.name, task.name, sizeof(description.name));
	description.pid = task.pid;
	description.memlock = task.memlock;
	description.locked_pages = shim_mm_locked(process_.mm);
	return description;
}

bool Owner::charge_over_limit(u64 npages) const
{
	const LiveMm live(process_.mm);

	return live && shim_mm_account(live.get(), process_.leader, npages, true) == 0;
}

void Owner::uncharge(u64 npages) const
{
	if (npages == 0)
		return;

	const LiveMm live(process_.mm);

	if (live)
		shim_mm_unaccount(live.get(), process_.leader, npages);
}

} // namespace vfio
