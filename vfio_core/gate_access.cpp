// SPDX-License-Identifier: GPL-2.0
//
// The users' side of a gate: faults, calls and maps, and their waits.
#include "device.hpp"
#include "gate.hpp"
#include "shim/cred.h"
#include "shim/time.h"

namespace vfio {

Result<u64> Gate::time_left()
{
	constexpr u64 kNsPerMs = 1000000;
	const u64 limit = limit_ms_.load();
	const u64 waited = (shim_now_ns() - blocked_at_.load()) / kNsPerMs;

	if (limit == 0)
		return u64{0};
	if (waited < limit)
		return limit - waited;
	timeouts_.add(1);
	if (!logged_.exchange(true))
		shim_device_warn(handle_,
				 "blocked for more than %u ms: accesses fail until it opens",
				 limit_ms_.load());
	return Error(ETIMEDOUT);
}

Result<void> Gate::wait(u64 ms, u32 closes, bool interruptible)
{
	waiting_threads_.add(1);
	const int waited = waiting_.wait_signal(
		[this, closes] { return !waits(state()) || closes_.load() != closes; }, ms,
		interruptible);
	waiting_threads_.add(~u32{0});
	if (waited < 0)
		return Error::from_negative(waited);
	return {};
}

Result<void> Gate::enter(bool may_wait)
{
	while (!try_enter(Access::kCall)) {
		const u32 state = this->state();

		if (state == VFIO_GATE_GONE)
			return Error(ENODEV);
		if (!waits(state))
			continue;
		if (!may_wait)
			return Error(EAGAIN);
		TRY(wait(TRY(time_left()), closes_.load(), true));
	}
	return {};
}

CORE_ENTRY void vfio_core_gate_leave(vfio_gate *gate)
{
	Gate::of(gate).leave_map();
}

bool Gate::try_map()
{
	faults_.add(1);
	if (!try_enter(Access::kMap)) {
		end_fault();
		return false;
	}
	touched_.store(true);
	return true;
}

CORE_ENTRY bool vfio_core_gate_try_map(vfio_gate *gate)
{
	return Gate::of(gate).try_map();
}

Result<u64> Gate::closed_frames(Pfn first, u64 npages) const
{
	const u32 now = state();

	if (now == VFIO_GATE_OPEN)
		return u64{0};
	if (now != VFIO_GATE_GONE)
		for (u32 i = 0; i < windows_count_; i++)
			if (first.value >= windows_[i].first_pfn &&
			    first.value <= windows_[i].last_pfn)
				return min(npages, windows_[i].last_pfn - first.value + 1);
	return Error(EFAULT);
}

CORE_ENTRY long vfio_core_gate_closed_frames(vfio_gate *gate, u64 pfn, u64 npages)
{
	Result<u64> found = Gate::of(gate).closed_frames({pfn}, npages);

	return found.ok() ? static_cast<long>(found.value()) : found.error().negative();
}

shim_gate_fault Gate::fault(vm_fault *fault, u32 how)
{
	if (try_map()) [[likely]]
		return SHIM_GATE_FAULT_SERVE;
	if (how & SHIM_GATE_FAULT_NOWAIT)
		return SHIM_GATE_FAULT_RETRY;
	// Who maps the windows for DMA of another device holds locks of a container.
	if (!(how & SHIM_GATE_FAULT_MAY_WAIT) || (how & SHIM_GATE_FAULT_REMOTE))
		return SHIM_GATE_FAULT_SIGBUS;

	const u32 state = this->state();

	if (state == VFIO_GATE_TRAPPED || state == VFIO_GATE_GONE)
		return SHIM_GATE_FAULT_SIGBUS;

	Result<u64> left = waits(state) ? time_left() : u64{1};

	if (!left.ok())
		return SHIM_GATE_FAULT_SIGBUS;

	// Without the lock of the address space the map may go, and with it the file and the
	// device. A signal is delivered, or ends the task, after the fault has returned; if
	// the time has passed, the fault comes again, and fails.
	const RefPtr<Gate> keep = RefPtr<Gate>::share(*this);
	const u32 closes = closes_.load();

	shim_gate_fault_unlock(fault);
	(void)wait(left.value(), closes, how & SHIM_GATE_FAULT_USER).ok();
	return SHIM_GATE_FAULT_RETRY;
}

CORE_ENTRY shim_gate_fault vfio_core_gate_fault(vfio_gate *gate, vm_fault *fault, u32 how)
{
	return Gate::of(gate).fault(fault, how);
}

bool Gate::poll(file *file, poll_table_struct *table)
{
	shim_gate_poll(waiting_.handle(), file, table);
	return !waits(state());
}

Result<void> Gate::add_map(vm_area_struct *vma)
{
	Guard guard(maps_lock_);
	Defer refuse([vma] { shim_gate_map_refuse(vma); });

	if (!shim_gate_map_possible(vma, inode_))
		return Error(EOPNOTSUPP);

	const GatedMaps *fitting = nullptr;

	for (const GatedMaps &maps : maps_)
		if (shim_gate_map_fits(maps.map.get(), vma))
			fitting = &maps;
	if (!fitting) {
		GatedMaps::Map map(shim_gate_map_create(vma, handle_, this));

		if (!map)
			return Error(ENOMEM);

		GatedMaps *made = TRY(make<GatedMaps>(move(map))).release();

		maps_.push_front(*made);
		fitting = made;
	}
	refuse.dismiss();
	shim_gate_map_use(fitting->map.get(), vma);
	return {};
}

Result<void> Gate::info(UserVa arg)
{
	vfio_device_gate_info info = {};

	TRY(copy_in(&info.argsz, arg, sizeof(info.argsz)));
	if (info.argsz < sizeof(info))
		return Error(EINVAL);
	{
		Guard guard(lock_);

		info.state = state();
		if (ops_)
			info.flags |= VFIO_DEVICE_GATE_SCHEDULED;
		if (ops_ && ops_->user_may_switch)
			info.flags |= VFIO_DEVICE_GATE_USER_SWITCHES;
		info.limit_ms = limit_ms_.load();
		info.waiting = waiting_threads_.load();
		info.timeouts = timeouts_.load();
		info.blocks = blocks_;
		info.undrained = undrained_;
		info.blocked_ns = blocked_ns_;
		if (waits(info.state))
			info.blocked_ns += shim_now_ns() - blocked_at_.load();
	}
	return copy_out(arg, &info, sizeof(info));
}

Result<void> Gate::set(UserVa arg)
{
	constexpr size_t kSize = OFFSET_END(vfio_device_gate_set, limit_ms);
	constexpr u32 kFlags = VFIO_DEVICE_GATE_SET_STATE | VFIO_DEVICE_GATE_SET_LIMIT;
	vfio_device_gate_set request = {};

	TRY(copy_in(&request, arg, kSize));
	if (request.argsz < kSize || !request.flags || (request.flags & ~kFlags))
		return Error(EINVAL);
	if ((request.flags & VFIO_DEVICE_GATE_SET_STATE) &&
	    (request.state > VFIO_GATE_BLOCKED ||
	     request.deadline_us > VFIO_DEVICE_GATE_MAX_DEADLINE_US))
		return Error(EINVAL);
	if (!user_may_switch() && !shim_capable_sys_admin())
		return Error(EPERM);
	if (request.flags & VFIO_DEVICE_GATE_SET_LIMIT)
		set_limit(request.limit_ms);
	if (!(request.flags & VFIO_DEVICE_GATE_SET_STATE))
		return {};
	switch (request.state) {
	case VFIO_GATE_OPEN:
		return open();
	case VFIO_GATE_TRAPPED:
		return trap(request.deadline_us);
	default:
		return block(request.deadline_us);
	}
}

bool Gate::user_may_switch()
{
	Guard guard(lock_);

	return ops_ && ops_->user_may_switch;
}

} // namespace vfio
