/* SPDX-License-Identifier: GPL-2.0 */
/* The inode of a device, whose mapping all files of the device share. May sleep. */
#ifndef SHIM_DEVICE_INODE_H
#define SHIM_DEVICE_INODE_H

#include "shim/base.h"

struct vfio_device;

SHIM_BEGIN

/**
 * shim_device_inode_create() - give the device the inode that its files share
 * @device: a device that has been set up
 *
 * Does nothing on kernels in which devices have none.
 *
 * Return: 0 or a negative errno.
 */
int shim_device_inode_create(struct vfio_device *device);

/**
 * shim_device_inode_drop() - undo shim_device_inode_create()
 * @device: the device, no file of which is open
 */
void shim_device_inode_drop(struct vfio_device *device);

SHIM_END

#endif
