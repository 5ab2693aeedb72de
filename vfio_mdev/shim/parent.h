/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parents of mediated devices and their types: the kernel's structs mdev_parent
 * and mdev_type, which a driver allocates, and their directories in sysfs. The
 * parent's directory, mdev_supported_types, points to the core's own object.
 *
 * All functions may sleep. Those that return an int return 0 or a negative errno.
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
 */
int shim_mdev_parent_create(struct mdev_parent *parent,
			    struct mdev_core_parent *core, struct device *dev,
			    struct mdev_driver *driver,
			    struct mdev_type **types, u32 ntypes);

/**
 * shim_mdev_parent_destroy() - remove the directory; @parent is not used afterwards
 * @parent: the struct, whose types have been removed
 */
void shim_mdev_parent_destroy(struct mdev_parent *parent);

/**
 * shim_mdev_parent_link() - create the link in /sys/class/mdev_bus
 * @parent: the parent
 */
int shim_mdev_parent_link(struct mdev_parent *parent);

/**
 * shim_mdev_parent_unlink() - remove the link in /sys/class/mdev_bus if it exists
 * @parent: the parent
 */
void shim_mdev_parent_unlink(struct mdev_parent *parent);

/**
 * shim_mdev_parent_uevent() - tell userspace that a parent's device changed
 * @parent: the parent
 * @variable: a variable for the event's environment, NAME=VALUE
 */
void shim_mdev_parent_uevent(struct mdev_parent *parent, const char *variable);

/**
 * shim_mdev_parent_info() - print a line about a parent's device at info level
 * @parent: the parent
 * @what: the line
 */
void shim_mdev_parent_info(const struct mdev_parent *parent, const char *what);

/**
 * shim_mdev_parent_warn() - print a line about a parent's device at warning level
 * @parent: the parent
 * @what: the line
 */
void shim_mdev_parent_warn(const struct mdev_parent *parent, const char *what);

/**
 * shim_mdev_type_available() - how many more devices of a type its driver allows
 * @type: the type; its driver has SHIM_MDEV_GET_AVAILABLE
 */
u32 shim_mdev_type_available(struct mdev_type *type);

/**
 * shim_mdev_type_add() - create the directory of a type, with its files
 * @parent: the parent
 * @index: which type
 *
 * The directory's name is the driver's of the parent's device (the bus's, if no
 * driver is bound), a dash, and the type's own. Its files can be used before this
 * returns.
 */
int shim_mdev_type_add(struct mdev_parent *parent, u32 index);

/**
 * shim_mdev_type_remove() - remove the directory of a type
 * @parent: the parent
 * @index: which type
 *
 * Waits for threads that are in one of its files.
 */
void shim_mdev_type_remove(struct mdev_parent *parent, u32 index);

SHIM_END

#endif
