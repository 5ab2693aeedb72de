/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A mediated device on the mdev bus: the kernel's struct mdev_device, whose
 * references the kernel counts. It owns the core's object.
 *
 * All functions may sleep. Those that return an int return 0 or a negative errno.
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
 * shim_mdev_create() - create a device that is not on the bus yet
 * @core: the core's object. On success the device owns it: mdev_core_destroy() is
 *	  called when the last reference to the device has gone
 * @parent: its parent
 * @type: its type
 * @uuid: 16 bytes in the order of a guid_t; their text is the device's name
 * @mdev: where to put the device; the caller owns a reference
 *
 * Return: 0 or -ENOMEM.
 */
int shim_mdev_create(struct mdev_core_device *core, struct mdev_parent *parent,
		     struct mdev_type *type, const u8 *uuid,
		     struct mdev_device **mdev);

/**
 * shim_mdev_add() - add a device to the bus, with its file `remove`
 * @mdev: the device
 */
int shim_mdev_add(struct mdev_device *mdev);

/**
 * shim_mdev_attach() - bind a device to its parent's driver
 * @mdev: the device, on the bus
 *
 * Calls the driver.
 * Return: 0 or a negative errno, mostly that of the driver's probe.
 */
int shim_mdev_attach(struct mdev_device *mdev);

/**
 * shim_mdev_link() - create the links in sysfs between a device and its type
 * @mdev: the device, on the bus
 *
 * Return: 0; or a negative errno, and neither link exists.
 */
int shim_mdev_link(struct mdev_device *mdev);

/**
 * shim_mdev_unlink() - undo shim_mdev_link()
 * @mdev: the device
 */
void shim_mdev_unlink(struct mdev_device *mdev);

/**
 * shim_mdev_leave_remove_file() - remove the file `remove` while the caller is in
 * its store function
 * @mdev: the device; shim_mdev_del() will not wait for the caller
 */
void shim_mdev_leave_remove_file(struct mdev_device *mdev);

/**
 * shim_mdev_del() - unbind a device from its driver and take it off the bus
 * @mdev: the device
 *
 * Waits for threads that are in one of its files. The driver's remove() waits for
 * as long as the device is open.
 */
void shim_mdev_del(struct mdev_device *mdev);

/**
 * shim_mdev_put() - put a reference
 * @mdev: the device
 */
void shim_mdev_put(struct mdev_device *mdev);

/**
 * shim_parse_uuid() - parse the text of a UUID, in hex digits of either case
 * @text: at least 36 characters, if the first ones are a UUID's
 * @uuid: where to put 16 bytes in the order of a guid_t
 *
 * Return: 0 or -EINVAL.
 */
int shim_parse_uuid(const char *text, u8 *uuid);

/**
 * shim_parse_number() - parse a number as sysfs files do
 * @text: the number, perhaps a newline, and a zero byte
 * @value: where to put it
 *
 * Return: 0, -EINVAL if the text is no number, -ERANGE if it is too large.
 */
int shim_parse_number(const char *text, unsigned long *value);

SHIM_END

#endif
