/* SPDX-License-Identifier: GPL-2.0 */
/* A page that a driver puts in the place of one that a user has mapped for DMA: vfio_gate_remap(). */
#ifndef VFIO_CXX_REMAP_H
#define VFIO_CXX_REMAP_H

#ifdef __cplusplus
#include "shim/base.h"
#else
#include <linux/types.h>
#endif

/* In the place of a physical address: the page that the user has mapped there. */
#define VFIO_REMAP_USERS_PAGE (~0ULL)

/**
 * struct vfio_remap_page - a page that DMA is to reach at an address
 * @iova: the I/O address of a page that a user has mapped by MAP_DMA
 * @phys: the physical address of the page, or VFIO_REMAP_USERS_PAGE
 */
struct vfio_remap_page {
	u64 iova;
	u64 phys;
};

#endif
