// SPDX-License-Identifier: GPL-2.0
/*
 * What mdev.ko exports for drivers of mediated devices that pin pages, each
 * function a call into the core. The kernel's own mdev.ko has none of it.
 */
#include <linux/err.h>
#include <linux/module.h>

#include "entry.h"
#include "vfio_cxx/mdev_pins.h"

/**
 * mdev_pins_create() - make a place for a device's pins
 * @vdev: the device, of vfio_register_emulated_iommu_dev(), with a dma_unmap
 * @dma_dev: a device that is to reach the pages, which outlives the pins; each
 *	     page has a DMA address for it. NULL if none does, or they are
 *	     reached otherwise
 * @dir: how @dma_dev reaches them; for what the CPU and a device that is not
 *	 coherent both touch, the dma_sync functions are the caller's business
 *
 * Context: may sleep. The device need not be open.
 * Return: the pins; ERR_PTR of -ENOMEM, or of -EINVAL if @dir is none.
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
 * mdev_pins_destroy() - undo mdev_pins_create(), and unpin what is left
 * @pins: the pins, which nobody uses any more, and dma_unmap will not either;
 *	  or NULL
 *
 * If anything is left the device must be open, for else VFIO lets nobody unpin:
 * it counts as open in close_device. But dma_unmap may be called until that has
 * returned; so close_device drops everything and leaves the rest to whoever
 * comes later, or keeps dma_unmap from the pins by a lock of the driver's.
 *
 * Context: may sleep.
 */
void mdev_pins_destroy(struct mdev_pins *pins)
{
	mdev_core_pins_destroy(pins);
}
EXPORT_SYMBOL_GPL(mdev_pins_destroy);

/**
 * mdev_pins_pin() - pin pages, each once more than it was
 * @pins: the pins
 * @iova: address of the first, page aligned
 * @npages: how many, as many as one likes
 * @prot: IOMMU_READ, IOMMU_WRITE or both. More than before for a page that is
 *	  pinned is allowed if its mapping allows it
 *
 * May be called from open_device on (under the kernel's own vfio.ko of 6.1 only
 * after open_device has returned) until close_device returns. For a page that is
 * pinned already only the count is raised. Locks that dma_unmap takes may not be held: as in
 * vfio_pin_pages(), this may wait until an unmap is over.
 *
 * Context: may sleep.
 * Return: 0; or, with nothing pinned that was not before:
 * -EINVAL if a page is not mapped, @iova is not aligned, @npages is 0, the range
 *  passes 2^64 or @prot is neither, or if the range was dropped meanwhile, in
 *  part or as a whole;
 * -EPERM if a mapping does not allow @prot;
 * -EOVERFLOW if a page is pinned 4194303 times already;
 * -EIO if @dma_dev has no address for a page;
 * -ENOMEM, and other errors of vfio_pin_pages().
 */
int mdev_pins_pin(struct mdev_pins *pins, u64 iova, u64 npages, int prot)
{
	return mdev_core_pins_pin(pins, iova, npages, prot);
}
EXPORT_SYMBOL_GPL(mdev_pins_pin);

/**
 * mdev_pins_unpin() - unpin pages once
 * @pins: the pins
 * @iova: address of the first
 * @npages: how many; those that are not pinned are left out
 *
 * A page leaves when it has been unpinned as often as it was pinned: its DMA
 * address is gone then, and VFIO unpins it. The device is open.
 *
 * Context: may sleep. Takes no memory, but for 96 bytes now and then, for which
 * it waits (Documentation/pin-index.md).
 * Return: how many were pinned.
 */
u64 mdev_pins_unpin(struct mdev_pins *pins, u64 iova, u64 npages)
{
	return mdev_core_pins_unpin(pins, iova, npages);
}
EXPORT_SYMBOL_GPL(mdev_pins_unpin);

/**
 * mdev_pins_drop() - let go of a range, for vfio_device_ops.dma_unmap
 * @pins: the pins
 * @iova: first address
 * @length: bytes; what would pass the last address ends there
 *
 * Unpins what is pinned, however often, and makes mdev_pins_pin() fail that is
 * under way anywhere in the range; nothing of either is pinned afterwards. It
 * waits up to a second for who is under way, and leaves those to unpin behind
 * it who take longer. The device is open.
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

static void tell(const struct mdev_core_pin_run *found,
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

	tell(found, &run);
	return visitor->visit(&run, visitor->arg);
}

/**
 * mdev_pins_find() - what is pinned at an address
 * @pins: the pins
 * @iova: the address
 * @run: where to put the page, and those that follow it; up to 2 MiB, and more
 *	 may follow in the next one
 *
 * It stays pinned until the caller, or whoever else may, unpins or drops it.
 *
 * Context: may sleep.
 * Return: whether it is pinned; if not @run is all zeroes.
 */
bool mdev_pins_find(struct mdev_pins *pins, u64 iova, struct mdev_pin_run *run)
{
	struct mdev_core_pin_run found = {};
	bool pinned = mdev_core_pins_find(pins, iova, &found);

	tell(&found, run);
	return pinned;
}
EXPORT_SYMBOL_GPL(mdev_pins_find);

/**
 * mdev_pins_for_each() - visit what is pinned in a range
 * @pins: the pins
 * @iova: first address
 * @last: last address
 * @visit: called for each run, in order; two may follow each other. Nothing is
 *	   unpinned or dropped meanwhile, which waits: so it calls nothing of
 *	   VFIO's, of this, or that sleeps for long
 * @arg: its argument
 *
 * Context: may sleep.
 * Return: 0, or what @visit returned if that was something else, with which it
 * ends.
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
 * mdev_pins_bytes() - how much memory it takes to remember them
 * @pins: the pins
 *
 * Context: may sleep.
 */
u64 mdev_pins_bytes(struct mdev_pins *pins)
{
	return mdev_core_pins_bytes(pins);
}
EXPORT_SYMBOL_GPL(mdev_pins_bytes);
