/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Types of mediated devices: the kernel's struct mdev_type, which a parent's
 * driver allocates, and the directory that a type has in sysfs.
 */
#ifndef SHIM_MDEV_TYPE_H
#define SHIM_MDEV_TYPE_H

#include "shim/base.h"

struct mdev_parent;
struct mdev_type;

SHIM_BEGIN

/**
 * shim_mdev_type_available() - how many more devices of a type its driver allows
 * @type: the type; its driver has SHIM_MDEV_GET_AVAILABLE
 *
 * Context: may sleep.
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
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_type_add(struct mdev_parent *parent, u32 index);

/**
 * shim_mdev_type_remove() - remove the directory of a type
 * @parent: the parent
 * @index: which type
 *
 * Waits for threads that are in one of its files.
 *
 * Context: may sleep.
 */
void shim_mdev_type_remove(struct mdev_parent *parent, u32 index);

SHIM_END

#endif
