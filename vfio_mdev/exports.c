// SPDX-License-Identifier: GPL-2.0
/*
 * The functions that mdev.ko exports. Their names, types and kinds of export are
 * those of the kernel's mdev.ko, and so are the CRCs (tools/kernel-crc). Modules
 * built against the kernel's therefore load on this one.
 */
#include <linux/mdev.h>
#include <linux/module.h>

#include "entry.h"
#include "main.h"

/**
 * mdev_register_parent() - register a device as a parent of mediated devices
 * @parent: memory of the driver's, which this function fills in
 * @dev: the device; the caller keeps a reference to it until it has called
 *	 mdev_unregister_parent()
 * @mdev_driver: a registered driver, to which mediated devices are bound
 * @types: the types of mediated devices; the driver keeps them until the parent
 *	   is unregistered
 * @nr_types: how many types
 *
 * Context: may sleep. Userspace may create devices before this returns.
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
 * Removes the parent's mediated devices, and waits for as long as one is open.
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
 * Return: 0, -EINVAL if it has no device_api, -EBUSY if a driver of that name is
 * registered, an error of sysfs.
 */
int mdev_register_driver(struct mdev_driver *drv)
{
	return mdev_core_register_driver(drv);
}
EXPORT_SYMBOL(mdev_register_driver);

/**
 * mdev_unregister_driver() - undo mdev_register_driver()
 * @drv: the driver; its parents have been unregistered
 *
 * Context: may sleep.
 */
void mdev_unregister_driver(struct mdev_driver *drv)
{
	driver_unregister(&drv->driver);
}
EXPORT_SYMBOL(mdev_unregister_driver);
