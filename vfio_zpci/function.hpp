// SPDX-License-Identifier: GPL-2.0
//
// Function: a PCI function as its guest sees it: a handle, a state, an anchor, and an
// error event if it has got into the error state. The outcomes of a refresh are those of
// RPCIT (include/uapi/vfio_zpci.h).
//
// Lock: lock_ guards all that is not constant; it is held while the function is refreshed.
// It is taken inside the lock of the guest (Zpci), which keeps the group attached.
#pragma once

#include "function_group.hpp"
#include "function_handle.hpp"

namespace vfio {

class Function : public RangeNode<Function> {
public:
	// The condition code of a refresh, and its status.
	struct Outcome {
		u32 cc;
		u32 status;
		bool more = false;
		u64 next = 0;
	};

	Function(u32 fh, u32 fid, FunctionGroup &group) : group(group), fh_{fh}, fid_(fid)
	{
	}

	// Of one handle, for the tree of functions.
	Range<FunctionHandle> range() const
	{
		return {fh_, fh_};
	}

	// Errors: EBUSY if there is an anchor, those of FunctionGroup::add_anchor(). The
	// caller has the guest's lock exclusively.
	Result<void> register_anchor(const Anchor &anchor) __must_not_hold(lock_);

	// Returns false if there is no anchor. The caller has the guest's lock exclusively.
	bool deregister() __must_not_hold(lock_);

	// state is VFIO_ZPCI_STATE_*. The caller has the guest's lock exclusively.
	void set_state(u32 state) __must_not_hold(lock_);

	// Refreshes length bytes from start on, or the first of them: then more is set, and
	// the caller goes on at next. Errors: EINTR; EAGAIN if the caller may not wait and
	// more is to be done than can be done so: one who may wait does it all.
	Result<Outcome> refresh(u64 start, u64 length, Context context) __must_not_hold(lock_);

	void get_event(vfio_zpci_event &event) __must_not_hold(lock_);
	// Clears the event that the caller has read; a later one stays.
	void clear_event(const vfio_zpci_event &event) __must_not_hold(lock_);

	void get_statistics(vfio_zpci_statistics &statistics) __must_not_hold(lock_);

	FunctionGroup &group;

private:
	Outcome fail(u32 code, u64 address) __must_hold(lock_);
	bool drop_anchor() __must_hold(lock_);

	static LockClass lock_class_;

	const FunctionHandle fh_;
	const u32 fid_;
	RwSem lock_{lock_class_};
	u32 state_ __guarded_by(lock_) = VFIO_ZPCI_STATE_ENABLED;
	bool registered_ __guarded_by(lock_) = false;
	IovaRange window_ __guarded_by(lock_) = {};
	// VFIO_ZPCI_EVENT_*, or 0.
	u32 event_ __guarded_by(lock_) = 0;
	u64 event_address_ __guarded_by(lock_) = 0;
	u64 refreshes_ __guarded_by(lock_) = 0;
	u64 errors_ __guarded_by(lock_) = 0;
};

} // namespace vfio
