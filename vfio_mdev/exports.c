// SPDX-License-Identifier: GPL-2.0
/*
 * What mdev.ko exports, each function a call into the core. Names, types and
 * kinds of export are the kernel's own; so are the CRCs (tools/kernel-crc), so
 * that modules built against its mdev.ko load on this one.
 */
#include <linux/mdev.h>
#include <linux/module.h>

#include "entry.h"
#include "main.h"

/**
 * mdev_register_parent() - register a device as a parent of mediated devices
 * @parent: embedded in the driver's structure; filled in here
 * @dev: the device; the caller has a reference to it until it has called
 *	 mdev_unregister_parent()
 * @mdev_driver: the driver, registered, to bind the mediated devices to
 * @types: the types of mediated devices that it has; outlive the registration
 * @nr_types: how many
 *
 * Context: may sleep. Devices may be created before this returns.
 * Return: 0, -ENOMEM, -EEXIST if two types have one name, an error of sysfs.
 */
int mdev_register_parent(struct mdev_parent *parent, struct device *dev,
			 struct mdev_driver *mdev_driver,
			 struct mdev_type **types, unsigned int nr_types)
{
	return mdev_core_register_parent(parent, dev, mdev_driver, types,
					 nr_types);
}
EXPORT_SYMBOL(mdev_register_parent);

/**
 * mdev_unregister_parent() - undo mdev_register_parent()
 * @parent: the parent
 *
 * Removes its mediated devices, which waits for as long as they are open.
 *
 * Context: may sleep; calls the driver's remove().
 */
void mdev_unregister_parent(struct mdev_parent *parent)
{
	mdev_core_unregister_parent(core_of_parent(parent));
}
EXPORT_SYMBOL(mdev_unregister_parent);

/**
 * mdev_register_driver() - register a driver of mediated devices
 * @drv: the driver
 *
 * Context: may sleep.
 * Return: 0, -EINVAL without a device_api, -EBUSY if there is one of its name,
 * an error of sysfs.
 */
int mdev_register_driver(struct mdev_driver *drv)
{
	return mdev_core_register_driver(drv);
}
EXPORT_SYMBOL(mdev_register_driver);

/**
 * mdev_unregister_driver() - undo mdev_register_driver()
 * @drv: the driver, whose parents are unregistered
 *
 * Context: may sleep.
 */
void mdev_unregister_driver(struct mdev_driver *drv)
{
	driver_unregister(&drv->driver);
}
EXPORT_SYMBOL(mdev_unregister_driver);
