// SPDX-License-Identifier: GPL-2.0
/*
 * The mdev bus. Its match function always says no, because the core itself binds
 * each device to the driver of its parent.
 */
#include "compat/class.h"
#include "main.h"

static struct mdev_driver *driver_of(struct device *dev)
{
	return container_of(dev->driver, struct mdev_driver, driver);
}

static int mdev_bus_match(struct device *dev, compat_match_driver *driver)
{
	return 0;
}

static int mdev_bus_probe(struct device *dev)
{
	struct mdev_driver *driver = driver_of(dev);

	return driver->probe ? driver->probe(to_mdev_device(dev)) : 0;
}

static void mdev_bus_remove(struct device *dev)
{
	struct mdev_driver *driver = driver_of(dev);

	if (driver->remove)
		driver->remove(to_mdev_device(dev));
}

struct bus_type mdev_bus_type = {
	.name = "mdev",
	.match = mdev_bus_match,
	.probe = mdev_bus_probe,
	.remove = mdev_bus_remove,
};
