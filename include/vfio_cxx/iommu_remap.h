/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an IOMMU driver does for vfio_gate_remap() (gate.h). Only our own drivers and our own vfio.ko
 * have it: a driver that also loads under the kernel's vfio.ko finds the function by symbol_get(), and
 * in containers of a driver that has not called it no page is remapped.
 */
#ifndef VFIO_CXX_IOMMU_REMAP_H
#define VFIO_CXX_IOMMU_REMAP_H

#include "shim/base.h"
#include "vfio_cxx/remap.h"

struct vfio_iommu_driver_ops;

/**
 * struct vfio_iommu_remap_ops - what an IOMMU driver does for vfio_gate_remap()
 * @remap: remaps pages of a container. Returns how many are done, from the first on, or a
 *	 negative errno if it is none. Waits for no user
 * @flush: lets no device reach any more what remap has replaced
 * @end: puts back all pages of users that remap has replaced in the container, and flushes. No other
 *	 page is reached when it returns. Waits for no user
 */
struct vfio_iommu_remap_ops {
	long (*remap)(void *iommu_data, const struct vfio_remap_page *pages,
		      unsigned int count);
	void (*flush)(void *iommu_data);
	void (*end)(void *iommu_data);
};

SHIM_BEGIN

/**
 * vfio_iommu_driver_set_remap() - tell that an IOMMU driver remaps pages
 * @ops: the driver's operations, registered
 * @remap: called until the driver is unregistered
 *
 * Context: may sleep.
 */
void vfio_iommu_driver_set_remap(const struct vfio_iommu_driver_ops *ops,
				 const struct vfio_iommu_remap_ops *remap);

SHIM_END

#endif
