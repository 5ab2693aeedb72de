/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which functions a kernel's own vfio.ko exports, and so ours for that kernel. Ours has all of them
 * everywhere; where the kernel does not export one, it is not declared either.
 */
#ifndef COMPAT_EXPORTS_H
#define COMPAT_EXPORTS_H

#include <linux/export.h>
#include <linux/version.h>
#include <linux/vfio.h>

struct rb_root_cached;

/*
 * Until 6.2 vfio.ko exports iova_bitmap_set(). After that it is the kernel's, and empty if the
 * kernel is configured without it, so that drivers cannot report what devices have written.
 */
static inline bool compat_can_report_dma(void)
{
	return LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
void vfio_combine_iova_ranges(struct rb_root_cached *root, u32 cur_nodes,
			      u32 req_nodes);
#define COMPAT_EXPORT_COMBINE_RANGES(symbol)
#else
#define COMPAT_EXPORT_COMBINE_RANGES(symbol) EXPORT_SYMBOL_GPL(symbol)
#endif

/* Before 6.4 eventfds that call a driver are a module of their own, vfio_virqfd.ko. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define COMPAT_EXPORT_VIRQFD(symbol)
#else
#define COMPAT_EXPORT_VIRQFD(symbol) EXPORT_SYMBOL_GPL(symbol)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
bool vfio_file_is_valid(struct file *file);
struct vfio_device *vfio_find_device_in_devset(struct vfio_device_set *dev_set,
					       struct device *dev);
#define COMPAT_EXPORT_FILE_IS_VALID(symbol)
#define COMPAT_EXPORT_FIND_IN_SET(symbol)
#else
#define COMPAT_EXPORT_FILE_IS_VALID(symbol) EXPORT_SYMBOL_GPL(symbol)
#define COMPAT_EXPORT_FIND_IN_SET(symbol)   EXPORT_SYMBOL_GPL(symbol)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
bool vfio_device_try_get_registration(struct vfio_device *device);
void vfio_device_put_registration(struct vfio_device *device);
#define COMPAT_EXPORT_REGISTRATION(symbol)
#else
#define COMPAT_EXPORT_REGISTRATION(symbol) EXPORT_SYMBOL_GPL(symbol)
#endif

#endif
