// SPDX-License-Identifier: GPL-2.0
//
// The life of a device: initialized, registered, unregistered, released.
#include "device.hpp"

#include "entry.h"
#include "registries.hpp"
#include "vfio_core/shim/module.h"
#include "vfio_core/shim/task.h"

namespace vfio {

constinit LockClass Device::opener_lock_class_ = {"vfio_device_opener", {}};

Result<void> Device::init(vfio_device *handle, device *dev, const vfio_device_ops *ops)
{
	const int index = shim_device_index_alloc();

	if (index < 0)
		return Error::from_negative(index);

	UniquePtr<Device> device = TRY(make<Device>(handle, Index(index)));

	shim_device_setup(handle, dev, ops, index, device.get());

	inode *made = nullptr;

	TRY(Result<void>::from_negative(shim_device_inode_create(handle, &made)));
	device->inode_.reset(made);
	if (shim_device_ops(handle) & SHIM_DEVICE_INIT)
		TRY(Result<void>::from_negative(shim_device_driver_init(handle)));
	shim_device_initialize(handle);

	// From now on references to the struct device own the Device. When the last
	// is dropped, the kernel calls vfio_core_device_release().
	(void)device.release();
	return {};
}

CORE_ENTRY int vfio_core_device_init(vfio_device *handle, device *dev, const vfio_device_ops *ops)
{
	return Device::init(handle, dev, ops).negative();
}

CORE_ENTRY int vfio_core_device_alloc(size_t size, device *dev, const vfio_device_ops *ops,
				      vfio_device **handle)
{
	if (WARN_ONCE_IF(size < shim_device_min_size(), "device allocated too small"))
		return -EINVAL;

	vfio_device *made = shim_device_alloc(size);

	if (!made)
		return -ENOMEM;

	const Result<void> ready = Device::init(made, dev, ops);

	if (ready.ok())
		*handle = made;
	else
		shim_device_free(made);
	return ready.negative();
}

Device::~Device()
{
	leave_set();
}

// Called when the last reference to the struct device has been dropped. The driver
// then frees the vfio_device.
CORE_ENTRY void vfio_core_device_release(vfio_core_device *device)
{
	vfio_device *handle = Device::of(device).handle();

	destroy(&Device::of(device));
	shim_device_driver_release(handle);
}

Result<void> Device::assign_set(SetId id)
{
	if (WARN_ONCE_IF(id.value == 0, "device set without a name") ||
	    WARN_ONCE_IF(set_, "device assigned to a second set"))
		return Error(EINVAL);
	set_ = TRY(registries().device_sets.join(*this, id));
	return {};
}

CORE_ENTRY int vfio_core_device_assign_set(vfio_core_device *device, u64 id)
{
	return Device::of(device).assign_set({id}).negative();
}

Result<void> Device::register_in(GroupMembership membership)
{
	if (!set_)
		TRY(assign_set({reinterpret_cast<u64>(handle_)}));

	Group &group = *membership;

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

	// From now on Group::find_device() finds the device.
	users_.restart();
	debug_dir_.reset(shim_debug_device(handle_, this, has(SHIM_DEVICE_MIGRATION)));
	return {};
}

static Result<void> register_device(Device &device, bool emulated)
{
	GroupRegistry &groups = registries().groups;
	GroupMembership membership =
		TRY(emulated ? groups.join_emulated(device.dev()) : groups.join(device.dev()));

	return device.register_in(move(membership));
}

CORE_ENTRY int vfio_core_device_register(vfio_core_device *device)
{
	return register_device(Device::of(device), false).negative();
}

CORE_ENTRY int vfio_core_device_register_emulated(vfio_core_device *device)
{
	return register_device(Device::of(device), true).negative();
}

void Device::unregister()
{
	constexpr unsigned int kSecondsBetweenRequests = 10;
	bool interruptible = true;

	// From now on Group::find_device() does not find the device, so that users_
	// only falls. Whoever watches sysfs learns of it at once, and not when the last
	// user has closed the device.
	membership_->remove_device(*this);
	retire_gate(true);
	shim_device_del(handle_);
	put_user();

	bool unused = shim_device_try_wait(handle_);

	for (u32 asked = 0; !unused; ++asked) {
		if (has(SHIM_DEVICE_REQUEST))
			shim_device_request(handle_, asked);

		const int waited =
			shim_device_wait(handle_, kSecondsBetweenRequests, interruptible);

		unused = waited > 0;
		if (waited == 0 && asked == 0 && open_count()) {
			const shim_task user = opener();

			shim_device_warn(handle_,
					 "unbinding waits for task \"%s\" (%d), which has opened "
					 "the device",
					 user.name, user.pid);
		}
		if (waited < 0) {
			shim_task task;

			// Unregistering cannot fail, so the wait goes on in spite of the
			// signal. The log says which task is blocked.
			interruptible = false;
			shim_current_task(&task);
			shim_device_warn(handle_,
					 "Device is currently in use, task \"%s\" (%d) "
					 "blocked until device is released",
					 task.name, task.pid);
		}
	}

	// A scheduler that had found the device before has registered by now.
	retire_gate(false);
	// Until now debugfs has shown who uses the device.
	debug_dir_.reset();
	shim_device_set_group(handle_, nullptr);
	membership_.reset();
}

CORE_ENTRY void vfio_core_device_unregister(vfio_core_device *device)
{
	Device::of(device).unregister();
}

void Device::put_user()
{
	// unregister() waits for shim_device_complete(), and the device may then be
	// freed at once.
	if (users_.put())
		shim_device_complete(handle_);
}

CORE_ENTRY bool vfio_core_device_try_use(vfio_core_device *device)
{
	return Device::of(device).try_get().release();
}

CORE_ENTRY void vfio_core_device_put_use(vfio_core_device *device)
{
	drop_device_use(&Device::of(device));
}

void drop_device_use(Device *device)
{
	device->put_user();
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
