/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pinning pages of a device's user through VFIO, and mapping them for the DMA of
 * another device. Those of VFIO may sleep, the others are for any context.
 */
#ifndef SHIM_VFIO_PIN_H
#define SHIM_VFIO_PIN_H

#include "shim/base.h"

struct device;
struct vfio_device;

/* The most pages that one call takes: VFIO_PIN_PAGES_MAX_ENTRIES. */
#define SHIM_VFIO_PIN_MOST 512

SHIM_BEGIN

/**
 * shim_vfio_pin() - vfio_pin_pages()
 * @vdev: an open device
 * @iova: page aligned
 * @npages: how many, up to SHIM_VFIO_PIN_MOST
 * @prot: SHIM_IOMMU_READ, SHIM_IOMMU_WRITE
 * @pages: room for @npages handles, for shim_pages_to_pfns() only
 *
 * May wait until another thread has mapped or unmapped memory.
 * Return: @npages; or a negative errno, and nothing is pinned.
 */
int shim_vfio_pin(struct vfio_device *vdev, u64 iova, u32 npages, u32 prot,
		  u64 *pages);

/**
 * shim_pages_to_pfns() - replace page handles by their pfns
 * @pages: the handles, in whose place the pfns are written
 * @npages: how many
 */
void shim_pages_to_pfns(u64 *pages, u32 npages);

/**
 * shim_vfio_unpin() - vfio_unpin_pages()
 * @vdev: an open device
 * @iova: page aligned
 * @npages: how many, up to SHIM_VFIO_PIN_MOST
 */
void shim_vfio_unpin(struct vfio_device *vdev, u64 iova, u32 npages);

/**
 * shim_dma_map() - dma_map_page() of a whole page
 * @dev: the device that will access the page
 * @pfn: a pfn that has a page
 * @direction: one of enum dma_data_direction but not DMA_NONE
 * @dma: where to put the address
 *
 * Return: 0, or a negative errno and nothing is mapped.
 */
int shim_dma_map(struct device *dev, u64 pfn, u32 direction, u64 *dma);

/**
 * shim_dma_unmap() - undo shim_dma_map()
 * @dev: the device
 * @dma: the address
 * @direction: as it was mapped
 */
void shim_dma_unmap(struct device *dev, u64 dma, u32 direction);

SHIM_END

#endif
