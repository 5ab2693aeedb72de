// SPDX-License-Identifier: GPL-2.0
/*
 * The functions that mdev.ko exports to drivers of mediated devices that pin
 * pages. The kernel's own mdev.ko does not have them.
 */
#include <linux/err.h>
#include <linux/module.h>

#include "entry.h"
#include "vfio_cxx/mdev_pins.h"

/**
 * mdev_pins_create() - create the record of the pages that a driver pins
 * @vdev: the device, for which vfio_register_emulated_iommu_dev() is called and
 *	  whose driver has a dma_unmap
 * @dma_dev: a device that does DMA to the pages and outlives the pins: each page
 *	     is mapped for it and has a DMA address. NULL if no device does
 * @dir: the direction of that DMA. If @dma_dev is not coherent, the caller calls
 *	 the dma_sync functions
 *
 * Context: may sleep. The device need not be open.
 * Return: the pins; ERR_PTR of -ENOMEM, or of -EINVAL if @dir is no direction.
 */
struct mdev_pins *mdev_pins_create(struct vfio_device *vdev,
				   struct device *dma_dev,
				   enum dma_data_direction dir)
{
	struct mdev_pins *pins;
	int ret = mdev_core_pins_create(vdev, dma_dev, dir, &pins);

	return ret ? ERR_PTR(ret) : pins;
}
EXPORT_SYMBOL_GPL(mdev_pins_create);

/**
 * mdev_pins_destroy() - unpin the pages that are left, and free the pins
 * @pins: the pins, or NULL. No other call uses them any more, nor does dma_unmap
 *
 * If pages are left, the device must be open, because VFIO unpins pages of open
 * devices only. It is still open while close_device runs; but VFIO may call
 * dma_unmap until close_device has returned. Therefore either close_device drops
 * all pages, and the pins are destroyed later; or a lock of the driver keeps
 * dma_unmap from using the pins.
 *
 * Context: may sleep.
 */
void mdev_pins_destroy(struct mdev_pins *pins)
{
	mdev_core_pins_destroy(pins);
}
EXPORT_SYMBOL_GPL(mdev_pins_destroy);

/**
 * mdev_pins_pin() - pin each page of a range once more
 * @pins: the pins
 * @iova: address of the first page, page aligned
 * @npages: how many pages; there is no limit
 * @prot: IOMMU_READ, IOMMU_WRITE or both. For a page that is pinned for less, the
 *	  mapping decides whether @prot is allowed
 *
 * May be called from open_device on (under the kernel's own vfio.ko of 6.1 only
 * after open_device has returned) until close_device returns. A page that is
 * pinned already is only counted. The caller may not hold locks that dma_unmap
 * takes: as vfio_pin_pages() does, this may wait until an unmap is over.
 *
 * Context: may sleep.
 * Return: 0. Or one of these errors, and no page is pinned that was not before:
 * -EINVAL if a page is not mapped, @iova is not aligned, @npages is 0, the range
 *  passes 2^64, @prot is neither, or mdev_pins_drop() was called meanwhile for a
 *  part of the range;
 * -EPERM if a mapping does not allow @prot;
 * -EOVERFLOW if a page is pinned 4194303 times already;
 * -EIO if a page cannot be mapped for the DMA device;
 * -ENOMEM, and other errors of vfio_pin_pages().
 */
int mdev_pins_pin(struct mdev_pins *pins, u64 iova, u64 npages, int prot)
{
	return mdev_core_pins_pin(pins, iova, npages, prot);
}
EXPORT_SYMBOL_GPL(mdev_pins_pin);

/**
 * mdev_pins_unpin() - unpin each page of a range once
 * @pins: the pins
 * @iova: address of the first page
 * @npages: how many pages; those that are not pinned are skipped
 *
 * When a page has been unpinned as often as it was pinned, its DMA mapping ends
 * and VFIO unpins it. The device is open.
 *
 * Context: may sleep. Allocates at most 96 bytes, and waits for them instead of
 * failing (Documentation/pin-index.md).
 * Return: how many of the pages were pinned.
 */
u64 mdev_pins_unpin(struct mdev_pins *pins, u64 iova, u64 npages)
{
	return mdev_core_pins_unpin(pins, iova, npages);
}
EXPORT_SYMBOL_GPL(mdev_pins_unpin);

/**
 * mdev_pins_drop() - unpin a range entirely, for vfio_device_ops.dma_unmap
 * @pins: the pins
 * @iova: first address
 * @length: bytes; a range that would pass the last address ends there
 *
 * Unpins each page of the range, however often it is pinned, and makes each
 * mdev_pins_pin() fail that is under way in the range. Waits until that call has
 * unpinned its pages, so that none of the range is pinned afterwards. If no such
 * call ends for a second, this returns, and they unpin later. The device is open.
 *
 * Context: may sleep; any locks of VFIO may be held.
 * Return: how many pages were pinned.
 */
u64 mdev_pins_drop(struct mdev_pins *pins, u64 iova, u64 length)
{
	return mdev_core_pins_drop(pins, iova, length);
}
EXPORT_SYMBOL_GPL(mdev_pins_drop);

struct visitor {
	int (*visit)(const struct mdev_pin_run *run, void *arg);
	void *arg;
};

static void copy_run(const struct mdev_core_pin_run *found,
		     struct mdev_pin_run *run)
{
	run->iova = found->iova;
	run->npages = found->npages;
	run->pfn = found->pfn;
	run->dma = found->dma;
	run->count = found->count;
}

static int visit_run(const struct mdev_core_pin_run *found, void *arg)
{
	const struct visitor *visitor = arg;
	struct mdev_pin_run run;

	copy_run(found, &run);
	return visitor->visit(&run, visitor->arg);
}

/**
 * mdev_pins_find() - find the pinned page at an address, and those that follow
 * @pins: the pins
 * @iova: the address
 * @run: where to put the run of pages, all zeroes if the page is not pinned. A
 *	 run ends at a multiple of 2 MiB, even if the next page is pinned too
 *
 * The pages stay pinned until they are unpinned or dropped; the driver keeps its
 * own threads from doing that while it uses @run.
 *
 * Context: may sleep.
 * Return: whether the page is pinned.
 */
bool mdev_pins_find(struct mdev_pins *pins, u64 iova, struct mdev_pin_run *run)
{
	struct mdev_core_pin_run found = {};
	bool pinned = mdev_core_pins_find(pins, iova, &found);

	copy_run(&found, run);
	return pinned;
}
EXPORT_SYMBOL_GPL(mdev_pins_find);

/**
 * mdev_pins_for_each() - visit the pinned pages of a range
 * @pins: the pins
 * @iova: first address
 * @last: last address
 * @visit: called for each run, in order of address; returns 0 to go on. All
 *	   calls that pin, unpin or drop wait meanwhile, therefore @visit may not
 *	   call functions of VFIO or of this file, nor sleep for long
 * @arg: the second argument of @visit
 *
 * Context: may sleep.
 * Return: 0, or the first other value that @visit returned.
 */
int mdev_pins_for_each(struct mdev_pins *pins, u64 iova, u64 last,
		       int (*visit)(const struct mdev_pin_run *run, void *arg),
		       void *arg)
{
	struct visitor visitor = { visit, arg };

	return mdev_core_pins_for_each(pins, iova, last, visit_run, &visitor);
}
EXPORT_SYMBOL_GPL(mdev_pins_for_each);

/**
 * mdev_pins_npages() - how many pages are pinned
 * @pins: the pins
 *
 * Context: may sleep.
 */
u64 mdev_pins_npages(struct mdev_pins *pins)
{
	return mdev_core_pins_npages(pins);
}
EXPORT_SYMBOL_GPL(mdev_pins_npages);

/**
 * mdev_pins_bytes() - how much memory the pins take
 * @pins: the pins
 *
 * Context: may sleep.
 */
u64 mdev_pins_bytes(struct mdev_pins *pins)
{
	return mdev_core_pins_bytes(pins);
}
EXPORT_SYMBOL_GPL(mdev_pins_bytes);
