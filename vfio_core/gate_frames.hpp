// SPDX-License-Identifier: GPL-2.0
//
// GateFrames: the frames of gated devices' register windows, and the IOMMU drivers that may have
// mapped them for the DMA of other devices (vfio_cxx/gate_frames.h). Windows are known by their
// physical addresses, whoever has mapped them, and however.
//
// Locks: changes_lock_ is held while listeners are called, so that the frames which they ask for do
// not change meanwhile; without listeners it is not taken. gates_lock_ is innermost.
#pragma once

#include "vfio_cxx/gate_frames.h"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"
#include "vocab/units.hpp"

namespace vfio {

class Gate;

// The list of all gates that a Gate is on.
struct WithFrames;

class GateListener : public vfio_gate_listener, public ListNode<GateListener> {
public:
	GateListener(int (*changed)(void *data), void *data);

	static GateListener &of(vfio_gate_listener *handle)
	{
		return *static_cast<GateListener *>(handle);
	}

	int (*const changed)(void *data);
	void *const data;
};

class GateFrames : Immovable {
public:
	// A gate that has windows is added once, and removed before it is destroyed.
	void add(Gate &gate) __must_not_hold(gates_lock_);
	void remove(Gate &gate) __must_not_hold(changes_lock_, gates_lock_);

	// Shuts the frames of a gate's windows, or lets them be reached. Errors: those of
	// listeners that cannot map them again; they stay shut then.
	Result<void> change(Gate &gate, bool shut) __must_not_hold(changes_lock_, gates_lock_);

	// Whether one of the frames is shut.
	bool shut(Pfn first, u64 npages) __must_not_hold(gates_lock_);

	void listen(GateListener &listener) __must_not_hold(changes_lock_, gates_lock_);
	void unlisten(GateListener &listener) __must_not_hold(changes_lock_, gates_lock_);

private:
	// Does nothing and returns false if somebody listens.
	bool set_unheard(Gate &gate, bool shut) __must_not_hold(gates_lock_);
	Result<void> tell() __must_hold(changes_lock_);
	void set(Gate &gate, bool shut) __must_hold(changes_lock_);

	static LockClass changes_lock_class_;
	static LockClass gates_lock_class_;

	Mutex changes_lock_{changes_lock_class_};
	List<GateListener> listeners_ __guarded_by(changes_lock_);
	Mutex gates_lock_{gates_lock_class_};
	List<Gate, WithFrames> gates_ __guarded_by(gates_lock_);
	// Whether there are listeners. Who begins to listen sees what was shut before.
	bool heard_ __guarded_by(gates_lock_) = false;
};

} // namespace vfio
