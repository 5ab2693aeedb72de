// SPDX-License-Identifier: GPL-2.0
#include "gate_frames.hpp"

#include "entry.h"
#include "gate.hpp"
#include "registries.hpp"

namespace vfio {

constinit LockClass GateFrames::changes_lock_class_ = {"vfio_gate_changes", {}};
constinit LockClass GateFrames::gates_lock_class_ = {"vfio_gate_frames", {}};

void GateFrames::add(Gate &gate)
{
	Guard guard(gates_lock_);

	gates_.push_back(gate);
}

void GateFrames::remove(Gate &gate)
{
	Guard changes(changes_lock_);
	Guard guard(gates_lock_);

	if (gate.ListNode<WithFrames>::linked())
		gates_.remove(gate);
}

bool GateFrames::shut(Pfn first, u64 npages)
{
	Guard guard(gates_lock_);

	for (const Gate &gate : gates_)
		if (gate.shuts_frames({first, first + (npages - 1)}))
			return true;
	return false;
}

void GateFrames::set(Gate &gate, bool shut)
{
	Guard guard(gates_lock_);

	gate.set_frames_shut(shut);
}

// Also after an error, which need not be about the frames that have changed. Returns the first.
Result<void> GateFrames::tell()
{
	Result<void> first;

	for (const GateListener &listener : listeners_) {
		const Result<void> told =
			Result<void>::from_negative(listener.changed(listener.data));

		if (first.ok())
			first = told;
	}
	return first;
}

bool GateFrames::set_unheard(Gate &gate, bool shut)
{
	Guard guard(gates_lock_);

	if (heard_)
		return false;
	gate.set_frames_shut(shut);
	return true;
}

Result<void> GateFrames::change(Gate &gate, bool shut)
{
	if (set_unheard(gate, shut))
		return {};

	Guard guard(changes_lock_);

	set(gate, shut);

	const Result<void> told = tell();

	if (!told.ok() && !shut) {
		set(gate, true);
		(void)tell().ok();
	}
	return told;
}

void GateFrames::listen(GateListener &listener)
{
	Guard changes(changes_lock_);
	Guard guard(gates_lock_);

	listeners_.push_back(listener);
	heard_ = true;
}

void GateFrames::unlisten(GateListener &listener)
{
	Guard changes(changes_lock_);
	Guard guard(gates_lock_);

	listeners_.remove(listener);
	heard_ = !listeners_.empty();
}

static bool frames_shut(u64 pfn, u64 npages)
{
	return registries().gate_frames.shut({pfn}, npages);
}

static void unlisten(vfio_gate_listener *handle)
{
	registries().gate_frames.unlisten(GateListener::of(handle));
	destroy(&GateListener::of(handle));
}

GateListener::GateListener(int (*changed)(void *data), void *data)
	: vfio_gate_listener{.frames_shut = vfio::frames_shut, .unlisten = vfio::unlisten},
	  changed(changed), data(data)
{
}

CORE_ENTRY vfio_gate_listener *vfio_gate_listen(int (*changed)(void *data), void *data)
{
	Result<UniquePtr<GateListener>> made = make<GateListener>(changed, data);

	if (!made.ok())
		return nullptr;
	registries().gate_frames.listen(*made.value());
	return made.take().release();
}

} // namespace vfio
