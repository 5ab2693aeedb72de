// SPDX-License-Identifier: GPL-2.0
#include "device_set.hpp"

#include "device.hpp"
#include "entry.h"

namespace vfio {

constinit LockClass DeviceSetRegistry::lock_class_ = {"vfio_device_sets", {}};

Result<UniquePtr<DeviceSet>> DeviceSet::create(SetId id)
{
	UniquePtr<DeviceSet> set = TRY(make<DeviceSet>(id));

	if (!set->kernel_set())
		return Error(ENOMEM);
	return set;
}

void DeviceSet::add_gate(Gate &gate)
{
	gates_.push_back(gate);
}

void DeviceSet::remove_gate(Gate &gate)
{
	gates_.remove(gate);
}

struct EnteredGates::Entered : ListNode<Entered> {
	explicit Entered(RefPtr<Gate> gate) : gate(move(gate))
	{
	}

	const RefPtr<Gate> gate;
};

Result<void> EnteredGates::enter(DeviceSet &set, const Gate *but)
{
	DeviceSetGuard guard(set);

	for (Gate &gate : set.gates_) {
		if (&gate == but)
			continue;

		UniquePtr<Entered> entered = TRY(make<Entered>(RefPtr<Gate>::share(gate)));

		if (!gate.try_enter(Gate::Access::kCall))
			return Error(EBUSY);
		entered_.push_back(*entered.release());
	}
	return {};
}

EnteredGates::~EnteredGates()
{
	while (Entered *entered = entered_.pop_front()) {
		entered->gate->leave();
		destroy(entered);
	}
}

CORE_ENTRY u32 vfio_core_device_set_open_count(vfio_core_device_set *handle)
{
	DeviceSet &set = DeviceSet::of(handle);

	set.assert_locked();
	return set.open_count();
}

CORE_ENTRY vfio_device *vfio_core_device_set_find(vfio_core_device_set *handle, device *dev)
{
	DeviceSet &set = DeviceSet::of(handle);

	set.assert_locked();
	return shim_device_set_find(set.kernel_set(), dev);
}

Result<DeviceSet *> DeviceSetRegistry::get_or_create(SetId id)
{
	Guard guard(lock_);
	DeviceSet *set = sets_.find(id);

	if (!set) {
		set = TRY(DeviceSet::create(id)).release();
		sets_.insert(*set);
	}
	++set->members_;
	return set;
}

Result<DeviceSet *> DeviceSetRegistry::join(Device &device, SetId id)
{
	DeviceSet *set = TRY(get_or_create(id));
	const DeviceSetGuard guard(*set);

	shim_device_set_add(set->kernel_set(), device.handle());
	return set;
}

void DeviceSetRegistry::leave(Device &device, DeviceSet &set)
{
	{
		const DeviceSetGuard guard(set);

		shim_device_set_remove(set.kernel_set(), device.handle());
	}

	UniquePtr<DeviceSet> leaving;
	Guard guard(lock_);

	if (--set.members_ == 0) {
		sets_.erase(set);
		leaving.reset(&set);
	}
}

} // namespace vfio
