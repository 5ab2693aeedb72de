/* SPDX-License-Identifier: GPL-2.0 */
/* The inode of a device, whose mapping all files of the device share. May sleep. */
#ifndef SHIM_DEVICE_INODE_H
#define SHIM_DEVICE_INODE_H

#include "shim/base.h"

struct inode;
struct vfio_device;

SHIM_BEGIN

/**
 * shim_device_inode_create() - give the device the inode that its files share
 * @device: a device that has been set up
 * @made: where to put the inode
 *
 * Return: 0 or a negative errno.
 */
int shim_device_inode_create(struct vfio_device *device, struct inode **made);

/**
 * shim_device_inode_drop() - undo shim_device_inode_create()
 * @inode: the inode of a device, no file of which is open
 */
void shim_device_inode_drop(struct inode *inode);

/**
 * shim_device_inode_zap() - take what is mapped of the device out of all address spaces
 * @inode: the inode of the device
 *
 * Who touches it afterwards faults.
 */
void shim_device_inode_zap(struct inode *inode);

SHIM_END

#endif
