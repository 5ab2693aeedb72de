/* SPDX-License-Identifier: GPL-2.0 */
/* Shows an IOMMU driver's part in debugfs, if vfio.ko is ours. */
#ifndef COMPAT_IOMMU_SHOW_H
#define COMPAT_IOMMU_SHOW_H

#include <linux/module.h>

#include "vfio_cxx/iommu_show.h"

static inline void compat_iommu_driver_set_show(
	const struct vfio_iommu_driver_ops *ops, vfio_iommu_show show)
{
	void (*ours)(const struct vfio_iommu_driver_ops *ops,
		     vfio_iommu_show show) =
		symbol_get(vfio_iommu_driver_set_show);

	if (!ours)
		return;
	ours(ops, show);
	symbol_put(vfio_iommu_driver_set_show);
}

#endif
