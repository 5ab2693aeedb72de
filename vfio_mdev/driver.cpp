// SPDX-License-Identifier: GPL-2.0
//
// Drivers of mediated devices. The core keeps nothing of a driver itself; what
// it needs of one it asks through the parent that the driver registers.
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
