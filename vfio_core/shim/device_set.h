/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct vfio_device_set, which the kernel declares: drivers take its lock and
 * walk its list. The core's object for a set, a struct vfio_core_device_set, owns one.
 *
 * These functions may sleep, except where they say otherwise.
 */
#ifndef SHIM_DEVICE_SET_H
#define SHIM_DEVICE_SET_H

#include "shim/base.h"

struct device;
struct vfio_core_device_set;
struct vfio_device;
struct vfio_device_set;

SHIM_BEGIN

/**
 * shim_device_set_create() - make an empty set
 * @id: the set's id, see vfio_assign_device_set()
 * @owner: the core's object for it
 *
 * Return: the set, or NULL if there is no memory.
 */
struct vfio_device_set *
shim_device_set_create(u64 id, struct vfio_core_device_set *owner);

/**
 * shim_device_set_destroy() - free a set that has no devices
 * @set: the set
 */
void shim_device_set_destroy(struct vfio_device_set *set);

/**
 * shim_device_set_owner() - the core's object for a set
 * @set: the set
 */
struct vfio_core_device_set *shim_device_set_owner(struct vfio_device_set *set);

/**
 * shim_device_set_lock() - take the set's lock
 * @set: the set
 */
void shim_device_set_lock(struct vfio_device_set *set);

/**
 * shim_device_set_unlock() - release the set's lock
 * @set: the set
 */
void shim_device_set_unlock(struct vfio_device_set *set);

/**
 * shim_device_set_assert_locked() - warn if the caller does not hold the set's lock
 * @set: the set
 *
 * Checks only on kernels with lockdep.
 */
void shim_device_set_assert_locked(struct vfio_device_set *set);

/**
 * shim_device_set_add() - put a device at the end of the set's list
 * @set: the set, locked
 * @device: a device that is in no set
 */
void shim_device_set_add(struct vfio_device_set *set,
			 struct vfio_device *device);

/**
 * shim_device_set_remove() - take a device off the set's list
 * @set: the set, locked
 * @device: a device in it; its dev_set is left as it is
 */
void shim_device_set_remove(struct vfio_device_set *set,
			    struct vfio_device *device);

/**
 * shim_device_set_find() - the device of a set for a device of the bus
 * @set: the set, locked
 * @dev: the device of the bus
 *
 * Return: the device, or NULL.
 */
struct vfio_device *shim_device_set_find(const struct vfio_device_set *set,
					 const struct device *dev);

SHIM_END

#endif
