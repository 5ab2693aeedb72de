/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The devices of a container whose drivers are told of unmaps. struct vfio_device
 * has a field for such a list, so that adding a device cannot fail.
 */
#ifndef SHIM_DEVICE_LIST_H
#define SHIM_DEVICE_LIST_H

#include "shim/base.h"

struct vfio_device;

/** struct shim_device_list - storage of a list head */
struct shim_device_list {
	u64 storage[2 * sizeof(long) / sizeof(u64)];
};

/* After how many seconds the log says that a driver lets an unmap wait. */
#define SHIM_UNMAP_LONG_S 10

SHIM_BEGIN

/**
 * shim_device_list_init() - make an empty list
 * @list: storage
 */
void shim_device_list_init(struct shim_device_list *list);

/**
 * shim_device_list_add() - put a device on the list
 * @list: the list, under the core's lock
 * @device: a device that is not on it
 */
void shim_device_list_add(struct shim_device_list *list,
			  struct vfio_device *device);

/**
 * shim_device_list_remove() - take a device off its list
 * @device: the device
 */
void shim_device_list_remove(struct vfio_device *device);

/**
 * shim_device_list_dma_unmap() - call each device's dma_unmap
 * @list: the list; must not change meanwhile
 * @iova: first address that goes away
 * @size: bytes
 *
 * If a driver takes longer than SHIM_UNMAP_LONG_S, a line of the log names its device and the calling
 * task, once for each call.
 *
 * Context: may sleep; the devices call vfio_unpin_pages().
 */
void shim_device_list_dma_unmap(const struct shim_device_list *list, u64 iova,
				u64 size);

/**
 * shim_device_hears_unmap() - whether a device's driver has dma_unmap
 * @device: the device
 */
bool shim_device_hears_unmap(const struct vfio_device *device);

SHIM_END

#endif
