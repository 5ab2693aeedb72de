/* SPDX-License-Identifier: GPL-2.0 */
/* struct vfio_device and its driver's operations, with the newest kernel's interface. */
#ifndef COMPAT_DEVICE_H
#define COMPAT_DEVICE_H

#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/version.h>
#include <linux/vfio.h>

/*
 * From 6.2 on the core frees a device after its driver's release(), which is optional.
 * Before 6.2 every driver has a release(), which ends with vfio_free_device().
 */
static inline void compat_device_release(struct vfio_device *device)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	device->ops->release(device);
#else
	if (device->ops->release)
		device->ops->release(device);
	kvfree(device);
#endif
}

/*
 * From 6.10 on drivers know the inode whose mapping all files of the device share:
 * vfio-pci finds the user's maps of the device through it. Before 6.10 drivers keep
 * track of the maps themselves.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline void compat_device_set_inode(struct vfio_device *device,
					   struct inode *inode)
{
}

#else
static inline void compat_device_set_inode(struct vfio_device *device,
					   struct inode *inode)
{
	device->inode = inode;
}
#endif

/* How many bytes stop-copy would transfer: an operation of drivers from 6.2 on. */
static inline int compat_migration_data_size(struct vfio_device *device,
					     unsigned long *size)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	return -ENOTTY;
#else
	return device->mig_ops->migration_get_data_size(device, size);
#endif
}

static inline bool
compat_has_migration_data_size(const struct vfio_device *device)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	return false;
#else
	return device->mig_ops && device->mig_ops->migration_get_data_size;
#endif
}

/*
 * What a device tells of a region. From 6.19 on drivers have get_region_info_caps for
 * it, and the core copies the reply out. Before that VFIO_DEVICE_GET_REGION_INFO goes
 * to the driver's ioctl like any other.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
static inline bool compat_has_region_info(const struct vfio_device *device)
{
	return false;
}

static inline int compat_region_info(struct vfio_device *device,
				     struct vfio_region_info *info,
				     struct vfio_info_cap *caps)
{
	return -ENOTTY;
}

#else
static inline bool compat_has_region_info(const struct vfio_device *device)
{
	return device->ops->get_region_info_caps;
}

static inline int compat_region_info(struct vfio_device *device,
				     struct vfio_region_info *info,
				     struct vfio_info_cap *caps)
{
	return device->ops->get_region_info_caps(device, info, caps);
}

#endif

/* Whether it is the core that answers VFIO_DEVICE_GET_REGION_INFO. */
static inline bool compat_core_answers_region_info(void)
{
	return LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0);
}

static inline bool compat_has_precopy_info_v2(void)
{
#ifdef VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2
	return true;
#else
	return false;
#endif
}

/* Whether userspace has asked for the second version of VFIO_MIG_GET_PRECOPY_INFO. */
static inline void compat_device_set_precopy_info_v2(struct vfio_device *device,
						     bool wanted)
{
#ifdef VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2
	device->precopy_info_v2 = wanted;
#endif
}

/* The device's folder in debugfs, in which its driver may have files. */
static inline void compat_device_set_debug_root(struct vfio_device *device,
						struct dentry *dir)
{
#ifdef CONFIG_VFIO_DEBUGFS
	device->debug_root = dir;
#endif
}

#endif
