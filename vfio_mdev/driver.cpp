// SPDX-License-Identifier: GPL-2.0
//
// Drivers of mediated devices. The core has no object for a driver: each
// MdevParent asks the driver that it was registered with.
#include "vfio_mdev/shim/driver.h"

#include "entry.h"
#include "shim/errno.h"

namespace vfio {

CORE_ENTRY int mdev_core_register_driver(mdev_driver *driver)
{
	if (!(shim_mdev_driver_ops(driver) & SHIM_MDEV_DEVICE_API))
		return -EINVAL;
	return shim_mdev_driver_register(driver);
}

} // namespace vfio
