// SPDX-License-Identifier: GPL-2.0
//
// The ioctls about functions.
#include "dma/shim/worker.h"
#include "shim/lock.h"
#include "vfio_zpci/shim/trace.h"
#include "zpci.hpp"

namespace vfio {

namespace {

// Of a guest; no machine has so many.
constexpr u64 kMostFunctions = 4096;

} // namespace

// Errors: ENOENT.
Result<Function *> Zpci::find(u32 fh) const
{
	Function *function = functions_.find({fh});

	if (!function)
		return Error(ENOENT);
	return function;
}

void Zpci::forget(Function &function)
{
	function.deregister();
	functions_.erase(function);
	destroy(&function);
}

Result<void> Zpci::register_function(UserVa arg)
{
	vfio_zpci_register request;

	TRY(copy_request(&request, arg, VFIO_ZPCI_REGISTER_DIRECT));

	const Result<void> result = register_function(request);

	shim_zpci_trace_register(request.fh, result.negative());
	return result;
}

Result<void> Zpci::register_function(const vfio_zpci_register &request)
{
	const Anchor anchor = TRY(Anchor::of(request));
	// So that a doorbell of a forgotten function of the same handle has gone.
	const Guard doorbells(doorbells_lock_);
	const WriteGuard guard(lock_);
	FunctionGroup *const attached =
		find_group(shim_open_devices_find(&open_devices_, request.group_fd));
	if (!attached)
		return Error(ENODEV);

	if (Function *known = functions_.find({request.fh})) {
		if (&known->group != attached)
			return Error(EBUSY);
		return known->register_anchor(anchor);
	}

	if (functions_.size() >= kMostFunctions)
		return Error(ENOSPC);

	UniquePtr<Function> made = TRY(make<Function>(request.fh, request.fid, *attached));
	TRY(made->register_anchor(anchor));
	functions_.insert(*made.release());
	return {};
}

Result<void> Zpci::deregister(UserVa arg)
{
	vfio_zpci_deregister request;

	TRY(copy_request(&request, arg, VFIO_ZPCI_DEREGISTER_FORGET));
	if (request.reserved)
		return Error(EINVAL);

	const Result<void> result = deregister(request);

	shim_zpci_trace_deregister(request.fh, result.negative());
	return result;
}

Result<void> Zpci::deregister(const vfio_zpci_deregister &request)
{
	const Guard doorbells(doorbells_lock_);
	{
		const WriteGuard guard(lock_);
		Function *const function = TRY(find(request.fh));

		if (request.flags & VFIO_ZPCI_DEREGISTER_FORGET)
			forget(*function);
		else if (!function->deregister())
			return Error(EINVAL);
	}
	drop_doorbells();
	return {};
}

Result<void> Zpci::set_state(UserVa arg)
{
	vfio_zpci_state request;

	TRY(copy_request(&request, arg, 0));
	if (request.state > VFIO_ZPCI_STATE_PERMANENT_ERROR)
		return Error(EINVAL);

	const WriteGuard guard(lock_);
	Function *const function = TRY(find(request.fh));

	function->set_state(request.state);
	return {};
}

// The function, if it may be refreshed for a machine, or for the VMM, where machine is null.
Function *Zpci::find_for(const kvm *machine, u32 fh) const
{
	Function *function = functions_.find({fh});

	if (function && machine && function->group.machine != machine)
		return nullptr;
	return function;
}

Result<Function::Outcome> Zpci::refresh_range(const kvm *machine, u32 fh, u64 start, u64 length,
					      Context context, const Atomic<bool> *stop)
{
	Result<Function::Outcome> outcome =
		refresh_slices(machine, fh, start, length, context, stop);

	if (outcome.ok())
		shim_zpci_trace_refresh(fh, start, length, outcome.value().cc,
					outcome.value().status, 0);
	else
		shim_zpci_trace_refresh(fh, start, length, 0, 0, outcome.error().negative());
	return outcome;
}

// In slices if the range is large: the locks are free in between.
inline Result<Function::Outcome> Zpci::refresh_slices(const kvm *machine, u32 fh, u64 start,
						      u64 length, Context context,
						      const Atomic<bool> *stop)
{
	bool no_resources = false;

	for (;;) {
		Function::Outcome outcome = {VFIO_ZPCI_CC_INVALID_HANDLE, 0};
		{
			if (!lock_.take_shared(context))
				return Error(EAGAIN);

			const ReadGuard guard(lock_, AlreadyTaken{});
			if (Function *function = find_for(machine, fh))
				outcome = TRY(function->refresh(start, length, context));
		}
		no_resources |= outcome.status == VFIO_ZPCI_STATUS_NO_RESOURCES;
		// All of a large unit may have been refreshed that the range ends in.
		if (!outcome.more || outcome.next - start >= length) {
			// What could not be mapped in an earlier slice is not mapped.
			if (no_resources && outcome.cc == VFIO_ZPCI_CC_OK)
				outcome = {VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_NO_RESOURCES};
			return outcome;
		}
		if (shim_killed() || (stop && stop->load()))
			return Error(EINTR);
		shim_cond_resched();
		length -= outcome.next - start;
		start = outcome.next;
	}
}

Result<void> Zpci::refresh(UserVa arg)
{
	vfio_zpci_refresh request;

	TRY(copy_request(&request, arg, 0));
	if (request.reserved)
		return Error(EINVAL);

	const Function::Outcome outcome =
		TRY(refresh_range(nullptr, request.fh, request.start, request.length));

	request.cc = outcome.cc;
	request.status = outcome.status;
	static_assert(OFFSET_END(vfio_zpci_refresh, cc) ==
		      __builtin_offsetof(vfio_zpci_refresh, status));
	return copy_out(arg + __builtin_offsetof(vfio_zpci_refresh, cc), &request.cc,
			sizeof(request.cc) + sizeof(request.status));
}

Result<void> Zpci::refresh_ranges(UserVa arg)
{
	vfio_zpci_refresh_ranges request;
	Function::Outcome outcome = {};

	TRY(copy_request(&request, arg, 0));
	if (request.reserved)
		return Error(EINVAL);
	for (request.done = 0; request.done < request.count; request.done++) {
		vfio_zpci_range range;

		TRY(copy_in(&range, {request.ranges + request.done * sizeof(range)},
			    sizeof(range)));

		outcome = TRY(refresh_range(nullptr, request.fh, range.start, range.length));
		if (outcome.cc != VFIO_ZPCI_CC_OK)
			break;
		if (shim_killed())
			return Error(EINTR);
		shim_cond_resched();
	}
	request.cc = outcome.cc;
	request.status = outcome.status;
	return copy_out(arg, &request, sizeof(request));
}

Result<void> Zpci::get_event(UserVa arg)
{
	vfio_zpci_event event;

	TRY(copy_request(&event, arg, VFIO_ZPCI_EVENT_CLEAR));
	if (event.reserved)
		return Error(EINVAL);
	{
		const ReadGuard guard(lock_);

		TRY(find(event.fh))->get_event(event);
	}
	TRY(copy_out(arg, &event, sizeof(event)));
	if (event.flags & VFIO_ZPCI_EVENT_CLEAR) {
		const ReadGuard guard(lock_);

		TRY(find(event.fh))->clear_event(event);
	}
	return {};
}

Result<void> Zpci::get_statistics(UserVa arg)
{
	vfio_zpci_statistics statistics;

	TRY(copy_request(&statistics, arg, 0));
	statistics.served = statistics.deferred = 0;
	{
		const Guard doorbells(doorbells_lock_);
		const ReadGuard guard(lock_);

		TRY(find(statistics.fh))->get_statistics(statistics);
		if (const Doorbell *doorbell = doorbells_.find({statistics.fh}))
			doorbell->get_statistics(statistics);
	}
	return copy_out(arg, &statistics, sizeof(statistics));
}

} // namespace vfio
