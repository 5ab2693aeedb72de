// SPDX-License-Identifier: GPL-2.0
//
// The life of a device: made, registered, unregistered, released.
#include "device.hpp"

#include "core.hpp"
#include "shim/module.h"
#include "shim/task.h"

namespace vfio {

Result<void> Device::init(vfio_device *handle, device *dev, const vfio_device_ops *ops)
{
	const int index = shim_device_index_alloc();

	if (index < 0)
		return Error::from_negative(index);

	Result<UniquePtr<Device>> made = make<Device>(handle, index);

	if (!made.ok()) {
		shim_device_index_free(index);
		return made.error();
	}

	// Its destructor undoes all of this.
	UniquePtr<Device> device = made.take();

	shim_device_setup(handle, dev, ops, index, device.get());
	if (shim_device_ops(handle) & SHIM_DEVICE_INIT)
		TRY(Result<void>::from_negative(shim_device_driver_init(handle)));
	shim_device_initialize(handle);

	// The kernel's references own it now; the last calls release().
	(void)device.release();
	return {};
}

Device::~Device()
{
	if (set_)
		core().device_sets.leave(*this, *set_);
	shim_device_index_free(index_);
}

void Device::release()
{
	vfio_device *handle = handle_;

	destroy(this);
	shim_device_driver_release(handle);
}

Result<void> Device::assign_set(SetId id)
{
	if (WARN_ONCE_IF(id.value == 0, "device set without a name") ||
	    WARN_ONCE_IF(set_, "device assigned to a second set"))
		return Error(EINVAL);
	set_ = TRY(core().device_sets.join(*this, id));
	return {};
}

Result<void> Device::register_in(GroupMembership membership)
{
	if (!set_)
		TRY(assign_set({reinterpret_cast<u64>(handle_)}));

	Group &group = *membership.get();

	has_ = shim_device_ops(handle_);
	TRY(group.add_device(*this));
	membership_ = move(membership);
	shim_device_set_group(handle_, &group);

	const int added = shim_device_add(handle_);

	if (added < 0) {
		shim_device_set_group(handle_, nullptr);
		group.remove_device(*this);
		membership_.reset();
		return Error::from_negative(added);
	}

	if (group.type() == SHIM_GROUP_NOIOMMU) {
		shim_taint_user();
		shim_device_warn(handle_, "vfio-noiommu: the user of this device can reach all "
					  "memory; the kernel is tainted");
	}

	// Until now a search in the group has passed it over.
	users_.restart();
	return {};
}

void Device::unregister()
{
	constexpr unsigned int kPatience = 10;
	bool interruptible = true;
	bool unused = false;

	// From now on no search finds the device, so that users only leave.
	membership_->remove_device(*this);
	put_user();
	unused = shim_device_try_wait(handle_);
	for (u32 asked = 0; !unused; ++asked) {
		if (has(SHIM_DEVICE_REQUEST))
			shim_device_request(handle_, asked);

		const int waited = shim_device_wait(handle_, kPatience, interruptible);

		unused = waited > 0;
		if (waited < 0) {
			shim_task task;

			// There is no way back. Let them know who waits.
			interruptible = false;
			shim_current_task(&task);
			shim_device_warn(handle_,
					 "Device is currently in use, task \"%s\" (%d) "
					 "blocked until device is released",
					 task.name, task.pid);
		}
	}

	shim_device_del(handle_);
	shim_device_set_group(handle_, nullptr);
	membership_.reset();
}

void put_use(Device *device)
{
	device->put_user();
}

void Device::put_user()
{
	// The one who waits may free the device as soon as this is called.
	if (users_.put())
		shim_device_complete(handle_);
}

Result<bool> Device::matches(char *name) const
{
	if (has(SHIM_DEVICE_MATCH)) {
		const int matched = shim_device_match(handle_, name);

		if (matched < 0)
			return Error::from_negative(matched);
		return matched > 0;
	}

	const char *mine = shim_device_name(handle_);

	while (*mine && *mine == *name) {
		++mine;
		++name;
	}
	return *mine == *name;
}

} // namespace vfio
