/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parents of mediated devices: the kernel's struct mdev_parent, which a driver
 * allocates. The core sees it as a handle. The core's own object for a parent
 * is reached through the parent's directory mdev_supported_types.
 */
#ifndef SHIM_MDEV_PARENT_H
#define SHIM_MDEV_PARENT_H

#include "shim/base.h"

struct device;
struct mdev_core_parent;
struct mdev_driver;
struct mdev_parent;
struct mdev_type;

SHIM_BEGIN

/**
 * shim_mdev_parent_create() - fill in a driver's struct mdev_parent, and create
 * the directory mdev_supported_types of its device
 * @parent: the struct
 * @core: the core's object. On success the directory has a reference to it:
 *	  mdev_core_put_parent() is called when the directory has gone
 * @dev: the device
 * @driver: the driver that its mediated devices are bound to
 * @types: its types
 * @ntypes: how many types
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_parent_create(struct mdev_parent *parent,
			    struct mdev_core_parent *core, struct device *dev,
			    struct mdev_driver *driver,
			    struct mdev_type **types, u32 ntypes);

/**
 * shim_mdev_parent_destroy() - remove the directory; @parent is not used afterwards
 * @parent: the struct, whose types have been removed
 *
 * Context: may sleep.
 */
void shim_mdev_parent_destroy(struct mdev_parent *parent);

/**
 * shim_mdev_parent_link() - create the link in /sys/class/mdev_bus
 * @parent: the parent
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_parent_link(struct mdev_parent *parent);

/**
 * shim_mdev_parent_unlink() - remove that link if it exists
 * @parent: the parent
 *
 * Context: may sleep.
 */
void shim_mdev_parent_unlink(struct mdev_parent *parent);

/**
 * shim_mdev_parent_uevent() - tell userspace that a parent's device changed
 * @parent: the parent
 * @variable: a variable for the event's environment, NAME=VALUE
 *
 * Context: may sleep.
 */
void shim_mdev_parent_uevent(struct mdev_parent *parent, const char *variable);

/**
 * shim_mdev_parent_info() - print a line about a parent's device at info level
 * @parent: the parent
 * @what: the line
 */
void shim_mdev_parent_info(const struct mdev_parent *parent, const char *what);

/**
 * shim_mdev_parent_warn() - print a line about it at warning level
 * @parent: the parent
 * @what: the line
 */
void shim_mdev_parent_warn(const struct mdev_parent *parent, const char *what);

SHIM_END

#endif
