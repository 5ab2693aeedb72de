/* SPDX-License-Identifier: GPL-2.0 */
/* What vfio.ko exports in older kernels alone; a part of vfio_core/exports.c. */
#ifndef COMPAT_OLD_EXPORTS_H
#define COMPAT_OLD_EXPORTS_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
/**
 * vfio_init_device() - initialize a device that the driver allocated, zeroed
 * @device: the device
 * @dev: the device on its bus
 * @ops: the driver's operations, which outlive the device
 *
 * Context: may sleep; calls @ops->init.
 * Return: 0, -ENOMEM, -ENOSPC, or the error of @ops->init. After an error the
 * caller frees @device.
 */
int vfio_init_device(struct vfio_device *device, struct device *dev,
		     const struct vfio_device_ops *ops)
{
	return vfio_core_device_init(device, dev, ops);
}
EXPORT_SYMBOL_GPL(vfio_init_device);

/**
 * vfio_free_device() - free what _vfio_alloc_device() returned
 * @device: the device
 *
 * Context: may sleep; the driver's release() calls it.
 */
void vfio_free_device(struct vfio_device *device)
{
	shim_device_free(device);
}
EXPORT_SYMBOL_GPL(vfio_free_device);

/**
 * iova_bitmap_set() - report pages as written by the device
 * @bitmap: the argument of the driver's log_read_and_clear()
 * @iova: first address
 * @length: bytes
 *
 * IOVAs outside the bitmap's range are ignored.
 *
 * Context: does not sleep.
 */
void iova_bitmap_set(struct iova_bitmap *bitmap, unsigned long iova,
		     size_t length)
{
	vfio_core_iova_bitmap_set(bitmap, iova, length);
}
EXPORT_SYMBOL_GPL(iova_bitmap_set);
#endif

#endif
