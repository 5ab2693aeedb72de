// SPDX-License-Identifier: GPL-2.0
#include "vfio_mdev/main.h"
#include "vfio_mdev/shim/driver.h"

u32 shim_mdev_driver_ops(const struct mdev_driver *driver)
{
	return (driver->device_api ? SHIM_MDEV_DEVICE_API : 0) |
	       (driver->get_available ? SHIM_MDEV_GET_AVAILABLE : 0);
}

u32 shim_mdev_driver_max_instances(const struct mdev_driver *driver)
{
	return driver->max_instances;
}

int shim_mdev_driver_register(struct mdev_driver *driver)
{
	driver->driver.bus = &mdev_bus_type;
	return driver_register(&driver->driver);
}
