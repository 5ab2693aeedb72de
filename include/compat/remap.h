/* SPDX-License-Identifier: GPL-2.0 */
/* Tells that an IOMMU driver remaps pages, if vfio.ko is ours. */
#ifndef COMPAT_REMAP_H
#define COMPAT_REMAP_H

#include <linux/module.h>

#include "vfio_cxx/iommu_remap.h"

static inline void
compat_iommu_driver_set_remap(const struct vfio_iommu_driver_ops *ops,
			      const struct vfio_iommu_remap_ops *remap)
{
	void (*ours)(const struct vfio_iommu_driver_ops *ops,
		     const struct vfio_iommu_remap_ops *remap) =
		symbol_get(vfio_iommu_driver_set_remap);

	if (!ours)
		return;
	ours(ops, remap);
	symbol_put(vfio_iommu_driver_set_remap);
}

#endif
