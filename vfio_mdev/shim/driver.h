/* SPDX-License-Identifier: GPL-2.0 */
/* Drivers of mediated devices: the kernel's struct mdev_driver. */
#ifndef SHIM_MDEV_DRIVER_H
#define SHIM_MDEV_DRIVER_H

#include "shim/base.h"

struct mdev_driver;

/* What a driver of mediated devices has. */
enum {
	SHIM_MDEV_DEVICE_API = 1 << 0,
	SHIM_MDEV_GET_AVAILABLE = 1 << 1,
};

SHIM_BEGIN

/**
 * shim_mdev_driver_ops() - what a driver has, as bits
 * @driver: the driver
 */
u32 shim_mdev_driver_ops(const struct mdev_driver *driver);

/**
 * shim_mdev_driver_max_instances() - how many devices each parent may have
 * @driver: the driver, without SHIM_MDEV_GET_AVAILABLE
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

SHIM_END

#endif
