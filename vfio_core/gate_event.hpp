// SPDX-License-Identifier: GPL-2.0
//
// GateEvent: tells a device's user, a VMM, that the register windows are about to go or have come
// back (VFIO_DEVICE_GATE_EVENT), and waits for its acknowledgement.
//
// Lock: lock_ is innermost.
#pragma once

#include "uapi/vfio_gate.h"
#include "vfio_core/shim/gate_event.h"
#include "vocab/atomic.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"
#include "vocab/uaccess.hpp"

namespace vfio {

class GateEvent : Immovable {
public:
	// VFIO_DEVICE_GATE_EVENT. Errors: EINVAL, EFAULT, EBADF, EAGAIN.
	Result<void> ioctl(UserVa arg) __must_not_hold(lock_);

	// Called when the device's last file is closed: nobody is to be told any more.
	void forget() __must_not_hold(lock_);

	// Announces a state, VFIO_GATE_OPEN or VFIO_GATE_TRAPPED.
	void announce(u32 state) __must_not_hold(lock_);

	// The state that was announced last.
	u32 announced() const
	{
		return state_.load();
	}

	// Whether somebody is to be told.
	bool heard() __must_not_hold(lock_);

	// Waits until what was announced last is acknowledged, or nobody is to be told any more.
	void await(u32 deadline_us);

private:
	using Event = Owned<eventfd_ctx *, shim_gate_event_put>;

	Result<void> answer(vfio_device_gate_event &request, Event event) __must_not_hold(lock_);

	static LockClass lock_class_;
	static LockClass acknowledged_class_;

	Atomic<u32> state_{VFIO_GATE_OPEN};
	// What was announced last that waits for its acknowledgement; 0 is nothing.
	Atomic<u32> awaited_{0};
	WaitQueue acknowledged_{acknowledged_class_};

	Mutex lock_{lock_class_};
	Event event_ __guarded_by(lock_);
	u32 change_ __guarded_by(lock_) = 0;
};

} // namespace vfio
