// SPDX-License-Identifier: GPL-2.0
/* The operations of no-IOMMU mode's IOMMU driver. */
#include <linux/err.h>
#include <linux/module.h>

#include "compat/iommu_driver.h"
#include "entry.h"
#include "main.h"

static void *vfio_noiommu_open(unsigned long extension)
{
	return ERR_PTR(vfio_core_noiommu_open(extension));
}

/* There is nothing to release, to attach to or to detach from. */
static void vfio_noiommu_release(void *iommu_data)
{
}

static long vfio_noiommu_ioctl(void *iommu_data, unsigned int cmd,
			       unsigned long arg)
{
	return vfio_core_noiommu_ioctl(cmd, arg);
}

static int vfio_noiommu_attach_group(void *iommu_data,
				     struct iommu_group *group,
				     enum vfio_group_type type)
{
	return 0;
}

static void vfio_noiommu_detach_group(void *iommu_data,
				      struct iommu_group *group)
{
}

const struct vfio_iommu_driver_ops vfio_noiommu_ops = {
	.name = "vfio-noiommu",
	.owner = THIS_MODULE,
	.open = vfio_noiommu_open,
	.release = vfio_noiommu_release,
	.ioctl = vfio_noiommu_ioctl,
	.attach_group = vfio_noiommu_attach_group,
	.detach_group = vfio_noiommu_detach_group,
};
