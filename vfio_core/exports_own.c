// SPDX-License-Identifier: GPL-2.0
/*
 * The functions that vfio.ko exports and the kernel's own vfio.ko does not have.
 */
#include <linux/module.h>
#include <linux/vfio.h>

#include "entry.h"
#include "vfio_cxx/device_file.h"
#include "vfio_cxx/iommu_extension.h"

/**
 * vfio_device_owns_file() - whether a file is a device's, or its group's
 * @device: the device
 * @file: any file
 *
 * Unlike vfio_file_has_dev() it tells apart the files of groups that are merged. The kernel's own
 * vfio.ko does not have it: callers that load there as well find it by symbol_get().
 *
 * Context: may sleep.
 */
bool vfio_device_owns_file(struct vfio_device *device, struct file *file)
{
	return vfio_core_device_owns_file(dev_get_drvdata(&device->device),
					  file);
}
EXPORT_SYMBOL_GPL(vfio_device_owns_file);

/* iommu_driver.cpp defines it. */
EXPORT_SYMBOL_GPL(vfio_iommu_driver_extend);
