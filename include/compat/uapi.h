/* SPDX-License-Identifier: GPL-2.0 */
/* Numbers of the VFIO UAPI that older or newer kernels have; included after <linux/vfio.h>. */
#ifndef COMPAT_UAPI_H
#define COMPAT_UAPI_H

/*
 * Nesting is gone from 6.13 on, and its number stays reserved: no IOMMU supports it
 * there, see compat_domain_can_nest().
 */
#ifndef VFIO_TYPE1_NESTING_IOMMU
#define VFIO_TYPE1_NESTING_IOMMU 6
#endif

#endif
