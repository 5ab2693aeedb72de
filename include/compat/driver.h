/* SPDX-License-Identifier: GPL-2.0 */
/* What drivers of VFIO devices use, with the newest kernel's interface: tests and samples. */
#ifndef COMPAT_DRIVER_H
#define COMPAT_DRIVER_H

#include <linux/errno.h>
#include <linux/eventfd.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <linux/vfio.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

/* Before 6.11 a platform driver's remove returns an int, which nobody reads. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define COMPAT_PLATFORM_REMOVE(name, function)        \
	static int name(struct platform_device *pdev) \
	{                                             \
		function(pdev);                       \
		return 0;                             \
	}
#else
#define COMPAT_PLATFORM_REMOVE(name, function)         \
	static void name(struct platform_device *pdev) \
	{                                              \
		function(pdev);                        \
	}
#endif

/* Before 6.8 eventfd_signal() takes what it adds to the counter. */
static inline void compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/*
 * The last call of a driver's release(). From 6.2 on the core frees the device after
 * it.
 */
static inline void compat_free_device(struct vfio_device *device)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	vfio_free_device(device);
#endif
}

/* Drivers have migration_get_data_size, an entry of struct vfio_migration_ops, from 6.2 on. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define COMPAT_HAS_MIGRATION_DATA_SIZE
#endif

/*
 * From 6.19 on a driver describes regions in get_region_info_caps, an entry of its struct
 * vfio_device_ops. Before that it answers VFIO_DEVICE_GET_REGION_INFO in its ioctl, for which
 * it calls compat_region_info_ioctl() with the same function, which may not add capabilities.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define COMPAT_HAS_REGION_INFO
#endif

static inline long
compat_region_info_ioctl(struct vfio_device *device, void __user *arg,
			 int (*function)(struct vfio_device *device,
					 struct vfio_region_info *info,
					 struct vfio_info_cap *caps))
{
	const size_t size = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info = {};
	struct vfio_info_cap caps = {};
	int ret;

	if (copy_from_user(&info, arg, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	ret = function(device, &info, &caps);
	if (ret)
		return ret;
	return copy_to_user(arg, &info, size) ? -EFAULT : 0;
}

#endif
