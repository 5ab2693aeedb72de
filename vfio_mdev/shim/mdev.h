/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mediated device on the mdev bus: the kernel's struct mdev_device. The
 * kernel counts the references to it, and it owns the core's object.
 */
#ifndef SHIM_MDEV_H
#define SHIM_MDEV_H

#include "shim/base.h"

struct mdev_core_device;
struct mdev_device;
struct mdev_parent;
struct mdev_type;

SHIM_BEGIN

/**
 * shim_mdev_create() - make a device, not yet on the bus
 * @core: the core's object, the device's from success on: mdev_core_destroy()
 *	  is called with it when all references to the device have gone
 * @parent: its parent
 * @type: its type
 * @uuid: 16 bytes in the order of a guid_t; its name is their text
 * @mdev: where to put it; the caller has a reference
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int shim_mdev_create(struct mdev_core_device *core, struct mdev_parent *parent,
		     struct mdev_type *type, const u8 *uuid,
		     struct mdev_device **mdev);

/**
 * shim_mdev_add() - show a device on the bus, with its file `remove`
 * @mdev: the device
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_mdev_add(struct mdev_device *mdev);

/**
 * shim_mdev_attach() - bind a device to its parent's driver
 * @mdev: the device, on the bus
 *
 * Context: may sleep; calls the driver.
 * Return: 0 or a negative errno, of the driver's probe above all.
 */
int shim_mdev_attach(struct mdev_device *mdev);

/**
 * shim_mdev_link() - make the links between a device and its type
 * @mdev: the device, on the bus
 *
 * Context: may sleep.
 * Return: 0 or a negative errno; then neither link is there.
 */
int shim_mdev_link(struct mdev_device *mdev);

/**
 * shim_mdev_unlink() - take these links away
 * @mdev: the device
 *
 * Context: may sleep.
 */
void shim_mdev_unlink(struct mdev_device *mdev);

/**
 * shim_mdev_leave_remove_file() - take the file `remove` away while the caller
 * is in it
 * @mdev: the device; shim_mdev_del() will not wait for the caller
 *
 * Context: may sleep.
 */
void shim_mdev_leave_remove_file(struct mdev_device *mdev);

/**
 * shim_mdev_del() - unbind a device from its driver, take it off the bus
 * @mdev: the device
 *
 * Waits for those who are in one of its files, and for as long as its driver
 * does, which may be as long as the device is open.
 *
 * Context: may sleep; calls the driver.
 */
void shim_mdev_del(struct mdev_device *mdev);

/**
 * shim_mdev_put() - let go of a reference
 * @mdev: the device
 *
 * Context: may sleep.
 */
void shim_mdev_put(struct mdev_device *mdev);

/**
 * shim_parse_number() - read a number as the kernel's files take it
 * @text: ends with a zero; may have one newline before that
 * @value: where to put it
 *
 * Return: 0, -EINVAL if it is none, -ERANGE if it is too large.
 */
int shim_parse_number(const char *text, unsigned long *value);

SHIM_END

#endif
