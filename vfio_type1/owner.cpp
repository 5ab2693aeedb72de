// SPDX-License-Identifier: GPL-2.0
#include "owner.hpp"

#include "shim/cred.h"

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

bool Owner::charge_over_limit(u64 npages) const
{
	const LiveMm live(process_.mm);

	return live && shim_mm_account(live.get(), process_.leader, npages, true) == 0;
}

void Owner::uncharge_other(u64 npages) const
{
	const LiveMm live(process_.mm);

	if (live)
		shim_mm_unaccount(live.get(), process_.leader, npages);
}

} // namespace vfio
