// SPDX-License-Identifier: GPL-2.0
#include "device_set.hpp"

#include "device.hpp"
#include "entry.h"

namespace vfio {

constinit LockClass DeviceSetRegistry::lock_class_ = {"vfio_device_sets", {}};

Result<UniquePtr<DeviceSet>> DeviceSet::create(SetId id)
{
	UniquePtr<DeviceSet> set = TRY(make<DeviceSet>(id));

	TRY(set->lock_.create(id, *set));
	return set;
}

void DeviceSet::add(Device &device)
{
	devices_.push_back(device);
	shim_device_set_add(lock_.get(), device.handle());
}

void DeviceSet::remove(Device &device)
{
	devices_.remove(device);
	shim_device_set_remove(lock_.get(), device.handle());
}

u32 DeviceSet::open_count() const
{
	u32 count = 0;

	for (const Device &device : devices_)
		count += device.open_count();
	return count;
}

CORE_ENTRY u32 vfio_core_device_set_open_count(vfio_core_device_set *handle)
{
	DeviceSet &set = DeviceSet::of(handle);

	set.lock().assert_locked();
	return set.open_count();
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
	DeviceSetGuard guard(set->lock());

	set->add(device);
	return set;
}

void DeviceSetRegistry::leave(Device &device, DeviceSet &set)
{
	{
		DeviceSetGuard guard(set.lock());

		set.remove(device);
	}

	UniquePtr<DeviceSet> leaving;
	Guard guard(lock_);

	if (--set.members_ == 0) {
		sets_.erase(set);
		leaving.reset(&set);
	}
}

} // namespace vfio
