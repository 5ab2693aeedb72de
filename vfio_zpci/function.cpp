// SPDX-License-Identifier: GPL-2.0
#include "function.hpp"

namespace vfio {

constinit LockClass Function::lock_class_ = {"zpci_function", {}};

Result<void> Function::register_anchor(const Anchor &anchor)
{
	const WriteGuard guard(lock_);

	if (registered_)
		return Error(EBUSY);
	TRY(group.add_anchor(anchor));
	registered_ = true;
	window_ = anchor.window;
	return {};
}

bool Function::drop_anchor()
{
	if (!registered_)
		return false;
	registered_ = false;
	group.drop_anchor();
	return true;
}

bool Function::deregister()
{
	const WriteGuard guard(lock_);

	return drop_anchor();
}

void Function::set_state(u32 state)
{
	const WriteGuard guard(lock_);

	state_ = state;
	if (state != VFIO_ZPCI_STATE_DISABLED)
		return;
	event_ = 0;
	drop_anchor();
}

// The function enters the error state. An event that is pending stays.
Function::Outcome Function::fail(u32 code, u64 address)
{
	state_ = VFIO_ZPCI_STATE_ERROR;
	errors_++;
	if (!event_) {
		event_ = code;
		event_address_ = address;
	}
	return {VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR};
}

Result<Function::Outcome> Function::refresh(u64 start, u64 length, Context context)
{
	if (!lock_.take(context))
		return Error(EAGAIN);

	const WriteGuard guard(lock_, AlreadyTaken{});
	switch (state_) {
	case VFIO_ZPCI_STATE_ENABLED:
		break;
	case VFIO_ZPCI_STATE_ERROR:
		return Outcome{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR};
	default:
		return Outcome{VFIO_ZPCI_CC_INVALID_HANDLE, 0};
	}

	refreshes_++;
	if (!registered_)
		return fail(VFIO_ZPCI_EVENT_NO_ANCHOR, start);
	if (length == 0)
		return Outcome{VFIO_ZPCI_CC_OK, 0};

	u64 last = 0;
	if (__builtin_add_overflow(start, length - 1, &last))
		return fail(VFIO_ZPCI_EVENT_OUT_OF_RANGE, start);

	const IovaRange range{{start & kPageMask}, {last | (kPageSize - 1)}};
	if (!window_.contains(range))
		return fail(VFIO_ZPCI_EVENT_OUT_OF_RANGE, start);

	const Refreshed refreshed = group.refresh(range, context);
	switch (refreshed.outcome) {
	case Refreshed::Outcome::kDeferred:
		refreshes_--;
		return Error(EAGAIN);
	case Refreshed::Outcome::kDone:
		return Outcome{VFIO_ZPCI_CC_OK, 0, refreshed.more, refreshed.at.value};
	case Refreshed::Outcome::kFault:
		return fail(static_cast<u32>(refreshed.fault), refreshed.at.value);
	case Refreshed::Outcome::kNoRoom:
		return Outcome{VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_NO_RESOURCES, refreshed.more,
			       refreshed.at.value};
	case Refreshed::Outcome::kInterrupted:
		break;
	}
	return Error(EINTR);
}

void Function::get_event(vfio_zpci_event &event)
{
	const ReadGuard guard(lock_);

	event.fid = fid_;
	event.code = event_;
	event.address = event_ ? event_address_ : 0;
}

void Function::clear_event(const vfio_zpci_event &event)
{
	const WriteGuard guard(lock_);

	if (event_ == event.code && event_address_ == event.address)
		event_ = 0;
}

void Function::get_statistics(vfio_zpci_statistics &statistics)
{
	const ReadGuard guard(lock_);
	const NestedDomain::Statistics nested = group.nested().statistics();

	statistics.state = state_;
	statistics.refreshes = refreshes_;
	statistics.errors = errors_;
	statistics.mapped = nested.mapped;
	statistics.unmapped = nested.unmapped;
	statistics.pages = group.nested().npages();
	statistics.bytes = group.nested().bytes();
}

static_assert(static_cast<u32>(WalkFault::kProtection) == VFIO_ZPCI_EVENT_PROTECTION);
static_assert(static_cast<u32>(WalkFault::kEntry) == VFIO_ZPCI_EVENT_ENTRY);
static_assert(static_cast<u32>(WalkFault::kLength) == VFIO_ZPCI_EVENT_LENGTH);
static_assert(static_cast<u32>(WalkFault::kType) == VFIO_ZPCI_EVENT_TYPE);

} // namespace vfio
