/* SPDX-License-Identifier: GPL-2.0 */
/* Tells what else an IOMMU driver does, if vfio.ko is ours. */
#ifndef COMPAT_IOMMU_EXTENSION_H
#define COMPAT_IOMMU_EXTENSION_H

#include <linux/module.h>

#include "vfio_cxx/iommu_extension.h"

static inline void
compat_iommu_driver_extend(const struct vfio_iommu_driver_ops *ops,
			   const struct vfio_iommu_extension *extension)
{
	typeof(&vfio_iommu_driver_extend) ours =
		symbol_get(vfio_iommu_driver_extend);

	if (!ours)
		return;
	ours(ops, extension);
	symbol_put(vfio_iommu_driver_extend);
}

#endif
