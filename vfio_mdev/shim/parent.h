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
 * shim_mdev_parent_create() - fill a driver's struct mdev_parent in, and make
 * the directory mdev_supported_types of its device
 * @parent: the struct
 * @core: the core's object for it, the directory's from success on:
 *	  mdev_core_put_parent() is called with it when the directory has gone
 * @dev: the device
 * @driver: what its mediated devices are bound to
 * @types: the types that it has
 * @ntypes: how many
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_parent_create(struct mdev_parent *parent,
			    struct mdev_core_parent *core, struct device *dev,
			    struct mdev_driver *driver,
			    struct mdev_type **types, u32 ntypes);

/**
 * shim_mdev_parent_destroy() - take the directory away; the last that is done
 * with a parent
 * @parent: the struct, whose types have been removed
 *
 * Context: may sleep.
 */
void shim_mdev_parent_destroy(struct mdev_parent *parent);

/**
 * shim_mdev_parent_driver() - the name of the driver of a parent's device, or
 * of its bus if it has none
 * @parent: the parent
 */
const char *shim_mdev_parent_driver(const struct mdev_parent *parent);

/**
 * shim_mdev_parent_link() - make the link in /sys/class/mdev_bus
 * @parent: the parent
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_parent_link(struct mdev_parent *parent);

/**
 * shim_mdev_parent_unlink() - take that link away, if it is there
 * @parent: the parent
 *
 * Context: may sleep.
 */
void shim_mdev_parent_unlink(struct mdev_parent *parent);

/**
 * shim_mdev_parent_uevent() - tell userspace that a parent's device changed
 * @parent: the parent
 * @variable: what the event's environment has more, NAME=VALUE
 *
 * Context: may sleep.
 */
void shim_mdev_parent_uevent(struct mdev_parent *parent, const char *variable);

/**
 * shim_mdev_parent_info() - a line about a parent's device in the log
 * @parent: the parent
 * @what: the line
 */
void shim_mdev_parent_info(const struct mdev_parent *parent, const char *what);

/**
 * shim_mdev_parent_warn() - the same at warning level
 * @parent: the parent
 * @what: the line
 */
void shim_mdev_parent_warn(const struct mdev_parent *parent, const char *what);

/**
 * shim_mdev_parent_type() - a parent's type by number
 * @parent: the parent
 * @index: which
 */
struct mdev_type *shim_mdev_parent_type(const struct mdev_parent *parent,
					u32 index);

SHIM_END

#endif
