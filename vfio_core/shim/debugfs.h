/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Folders and files in debugfs, below vfio/. Where there is no debugfs, or the kernel is locked down,
 * they are not there, and nobody else notices: a folder is then an error pointer, which these
 * functions accept in the place of a folder, and do nothing.
 *
 * A folder can be removed while one of its files is open. Removing waits for those who read, so that
 * the caller holds no lock that a file's show function waits for; reads after that fail with EIO.
 */
#ifndef SHIM_DEBUGFS_H
#define SHIM_DEBUGFS_H

#include "shim/base.h"
#include "vfio_cxx/iommu_extension.h"

struct dentry;
struct vfio_container;
struct vfio_core_device;
struct vfio_device;

/* The files of a container; the first are those that IOMMU drivers print, too. */
enum shim_debug_file {
	SHIM_DEBUG_SUMMARY = VFIO_IOMMU_SHOW_SUMMARY,
	SHIM_DEBUG_DOMAINS = VFIO_IOMMU_SHOW_DOMAINS,
	SHIM_DEBUG_MAPPINGS = VFIO_IOMMU_SHOW_MAPPINGS,
	SHIM_DEBUG_STATISTICS = VFIO_IOMMU_SHOW_STATISTICS,
	SHIM_DEBUG_OWNER,
	SHIM_DEBUG_GROUPS,
};

/* The files of a device. */
enum shim_device_file {
	SHIM_DEVICE_STATE,
	SHIM_DEVICE_FEATURES,
	SHIM_DEVICE_USER,
};

SHIM_BEGIN

/**
 * shim_debug_container() - make the folder of a container, vfio/containers/NUMBER
 * @container: the container, whose files vfio_core_container_show() prints
 * @number: its number
 *
 * Context: may sleep.
 * Return: the folder, or an error pointer; never NULL.
 */
struct dentry *shim_debug_container(struct vfio_container *container,
				    u64 number);

/**
 * shim_debug_device() - make the folder of a device, vfio/NAME
 * @device: the device, registered
 * @core: the core's object for it, whose files vfio_core_device_show() prints
 * @migrates: whether the driver has operations of migration
 *
 * Drivers may put files of their own into the folder, in kernels whose struct vfio_device names
 * it.
 *
 * Context: may sleep.
 * Return: the folder, or an error pointer; never NULL.
 */
struct dentry *shim_debug_device(struct vfio_device *device,
				 struct vfio_core_device *core, bool migrates);

/**
 * shim_debug_remove() - remove a folder with all that is in it
 * @dir: the folder, or an error pointer
 *
 * Context: may sleep, and waits for readers.
 */
void shim_debug_remove(struct dentry *dir);

SHIM_END

#endif
