// SPDX-License-Identifier: GPL-2.0
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/vfio.h>

#include "vfio_mdev/shim/vfio_pin.h"

static_assert(SHIM_VFIO_PIN_MOST == VFIO_PIN_PAGES_MAX_ENTRIES);

/* A handle is a struct page pointer. */
static struct page **array_of(u64 *pages)
{
	static_assert(sizeof(struct page *) == sizeof(u64));
	return (struct page **)pages;
}

int shim_vfio_pin(struct vfio_device *vdev, u64 iova, u32 npages, u32 prot,
		  u64 *pages)
{
	return vfio_pin_pages(vdev, iova, npages, prot, array_of(pages));
}

void shim_pages_to_pfns(u64 *pages, u32 npages)
{
	u32 i;

	for (i = 0; i < npages; i++)
		pages[i] = page_to_pfn(array_of(pages)[i]);
}

void shim_vfio_unpin(struct vfio_device *vdev, u64 iova, u32 npages)
{
	vfio_unpin_pages(vdev, iova, npages);
}

int shim_dma_map(struct device *dev, u64 pfn, u32 direction, u64 *dma)
{
	*dma = dma_map_page(dev, pfn_to_page(pfn), 0, PAGE_SIZE, direction);
	return dma_mapping_error(dev, *dma);
}

void shim_dma_unmap(struct device *dev, u64 dma, u32 direction)
{
	dma_unmap_page(dev, dma, PAGE_SIZE, direction);
}
