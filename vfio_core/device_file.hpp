// SPDX-License-Identifier: GPL-2.0
//
// DeviceFile: one open of a device, that is, the file that
// VFIO_GROUP_GET_DEVICE_FD returns and all that userspace does through it. The
// DeviceFile is the file's private_data, and is destroyed when the file is closed.
//
// A DeviceFile owns the following, taken in this order and released in the reverse
// order:
// 1. a use of the device, so that unregistering the device waits;
// 2. a use of the device's group, so that the group keeps its container;
// 3. a reference to the module of the device's driver on its bus;
// 4. one of the device's opens: the first open calls the driver's open_device, and
//    the last one that is released calls its close_device.
//
// Locks: none. Reads, writes, ioctls and maps take no lock of the core, because
// what they need does not change while the device is open.
#pragma once

#include "device.hpp"

// The C side's handle for a DeviceFile.
struct vfio_core_device_file {};

namespace vfio {

class DeviceFile : public vfio_core_device_file, Immovable {
public:
	// Opens a device, by the file of the group through, and makes the file for it.
	// Errors: EINVAL if its group has no container with an IOMMU; EPERM for a no-IOMMU
	// group without CAP_SYS_RAWIO; ENODEV if its driver is being unloaded, or its group
	// is not merged with through any more; errors of the driver's open_device; ENFILE,
	// ENOMEM.
	static Result<FileRef> open(DeviceRef device, Group &through);

	explicit DeviceFile(DeviceRef device) : device_(move(device))
	{
	}

	static DeviceFile &of(vfio_core_device_file *handle)
	{
		return *static_cast<DeviceFile *>(handle);
	}

	Device &device() const
	{
		return *device_;
	}

	// Has a call enter the gate of the device, which has one. Errors: those of Gate::enter().
	Result<void> enter_gate() const;

	// Returns whether a call of userspace would not wait.
	bool poll(poll_table_struct *table) const;

private:
	const DeviceRef device_;
	GroupUse group_use_;
	Owned<vfio_device *, shim_device_module_put> module_;
	DeviceOpen open_;
	// The file, which owns the DeviceFile.
	file *file_ = nullptr;
};

} // namespace vfio
