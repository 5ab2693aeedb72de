// SPDX-License-Identifier: GPL-2.0
//
// Frames of gated devices that are mapped for other devices' DMA: vfio.ko says when they are shut.
#include "entry.h"
#include "type1.hpp"

namespace vfio {

constinit LockClass Type1::Frames::lock_class_ = {"vfio_type1_frames", {}};

Result<void> Type1::Frames::begin(const BorrowPolicy &policy)
{
	const auto &self = static_cast<const Frames &>(policy);
	const Guard guard(self.lock_);
	vfio_gate_listener *listener = nullptr;

	if (self.begun_)
		return {};
	TRY(Result<void>::from_negative(shim_gate_listen(
		[](void *type1) { return static_cast<Type1 *>(type1)->frames_changed(); },
		&self.type1_, &listener)));
	self.listener_.store(listener);
	self.begun_ = true;
	return {};
}

bool Type1::Frames::shut(const BorrowPolicy &policy, Pfn first, u64 npages)
{
	const vfio_gate_listener *listener = static_cast<const Frames &>(policy).listener_.load();

	return listener && shim_gate_frames_shut(listener, first.value, npages);
}

void Type1::Frames::end()
{
	if (vfio_gate_listener *listener = listener_.load())
		shim_gate_unlisten(listener);
}

// Called while a device is blocked or opened. Takes no lock that callers hold while they wait for
// userspace: what it looks at is guarded by a lock of DomainSet.
int Type1::frames_changed()
{
	return domains_.update_borrowed(map_policy()).negative();
}

} // namespace vfio
