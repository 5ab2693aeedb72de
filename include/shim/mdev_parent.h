/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parents of mediated devices, the types that they have, and the drivers: the
 * structs of the kernel's <linux/mdev.h>, which drivers allocate. The core sees
 * them as handles; what it knows of a parent hangs off the parent's directory.
 */
#ifndef SHIM_MDEV_PARENT_H
#define SHIM_MDEV_PARENT_H

#include "base.h"

struct device;
struct mdev_core_parent;
struct mdev_driver;
struct mdev_parent;
struct mdev_type;

/* What a driver of mediated devices has. */
enum {
	SHIM_MDEV_DEVICE_API = 1 << 0,
	SHIM_MDEV_GET_AVAILABLE = 1 << 1,
	SHIM_MDEV_DESCRIPTION = 1 << 2,
};

SHIM_BEGIN

/* Drivers. */

/**
 * shim_mdev_driver_ops() - what a driver has, as bits
 * @driver: the driver
 *
 * Context: any.
 */
u32 shim_mdev_driver_ops(const struct mdev_driver *driver);

/**
 * shim_mdev_driver_max_instances() - how many devices a parent of it may have
 * @driver: the driver, without SHIM_MDEV_GET_AVAILABLE
 *
 * Context: any.
 */
u32 shim_mdev_driver_max_instances(const struct mdev_driver *driver);

/**
 * shim_mdev_driver_register() - register a driver with the mdev bus
 * @driver: the driver
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_driver_register(struct mdev_driver *driver);

/* Parents. */

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

/* Types. */

/**
 * shim_mdev_parent_type() - a parent's type by number
 * @parent: the parent
 * @index: which
 */
struct mdev_type *shim_mdev_parent_type(const struct mdev_parent *parent,
					u32 index);

/**
 * shim_mdev_type_name() - the type's own part of its directory's name
 * @type: the type
 */
const char *shim_mdev_type_name(const struct mdev_type *type);

/**
 * shim_mdev_type_pretty_name() - its name for people, or NULL
 * @type: the type
 */
const char *shim_mdev_type_pretty_name(const struct mdev_type *type);

/**
 * shim_mdev_type_available() - how many more devices of it its driver allows
 * @type: the type; its driver has SHIM_MDEV_GET_AVAILABLE
 *
 * Context: may sleep.
 */
u32 shim_mdev_type_available(struct mdev_type *type);

/**
 * shim_mdev_type_add() - make the directory of a type, with its files
 * @parent: the parent
 * @index: which type
 * @name: the directory's name, copied
 *
 * Its files can be used before this returns.
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_type_add(struct mdev_parent *parent, u32 index, const char *name);

/**
 * shim_mdev_type_remove() - take the directory of a type away
 * @parent: the parent
 * @index: which type
 *
 * Waits for those who are in one of its files.
 *
 * Context: may sleep.
 */
void shim_mdev_type_remove(struct mdev_parent *parent, u32 index);

SHIM_END

#endif
