// SPDX-License-Identifier: GPL-2.0
#include "gate_event.hpp"

#include "shim/uapi.h"

namespace vfio {

constinit LockClass GateEvent::lock_class_ = {"vfio_gate_event", {}};
constinit LockClass GateEvent::acknowledged_class_ = {"vfio_gate_acknowledged", {}};

Result<void> GateEvent::ioctl(UserVa arg)
{
	constexpr u32 kFlags = VFIO_DEVICE_GATE_EVENT_SET | VFIO_DEVICE_GATE_EVENT_ACK;
	vfio_device_gate_event request = {};
	Event event;

	TRY(copy_in(&request, arg, sizeof(request)));
	if (request.argsz < sizeof(request) || (request.flags & ~kFlags))
		return Error(EINVAL);
	if ((request.flags & VFIO_DEVICE_GATE_EVENT_SET) && request.eventfd != -1) {
		eventfd_ctx *found = nullptr;

		TRY(Result<void>::from_negative(shim_gate_event_get(request.eventfd, &found)));
		event.reset(found);
	}
	TRY(answer(request, move(event)));
	return copy_out(arg, &request, sizeof(request));
}

Result<void> GateEvent::answer(vfio_device_gate_event &request, Event event)
{
	// Dropped without the lock.
	Event before;
	Guard guard(lock_);

	if ((request.flags & VFIO_DEVICE_GATE_EVENT_ACK) && request.change != change_)
		return Error(EAGAIN);
	if (request.flags & VFIO_DEVICE_GATE_EVENT_SET) {
		before = move(event_);
		event_ = move(event);
	}
	if ((request.flags & VFIO_DEVICE_GATE_EVENT_ACK) || !event_) {
		awaited_.store(0);
		acknowledged_.wake_all();
	}
	request.change = change_;
	request.state = state_.load();
	return {};
}

void GateEvent::forget()
{
	Event before;
	Guard guard(lock_);

	before = move(event_);
	awaited_.store(0);
	acknowledged_.wake_all();
}

bool GateEvent::heard()
{
	Guard guard(lock_);

	return event_.get();
}

void GateEvent::announce(u32 state)
{
	Guard guard(lock_);

	// 0 stands for none.
	if (++change_ == 0)
		change_ = 1;
	state_.store(state);
	awaited_.store(state == VFIO_GATE_TRAPPED && event_ ? change_ : 0);
	if (event_)
		shim_gate_event_signal(event_.get());
}

void GateEvent::await(u32 deadline_us)
{
	(void)acknowledged_.wait_until_us([this] { return awaited_.load() == 0; }, deadline_us);
}

} // namespace vfio
