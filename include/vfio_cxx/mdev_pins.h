/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pins of a mediated device: what mdev.ko offers to drivers of devices that
 * pin the pages of their user.
 *
 * A struct mdev_pins belongs to a vfio_device and remembers by iova which pages
 * the driver has pinned, how often, and at which address the parent device
 * reaches them. How a driver uses it: vfio_mdev/README.md. Memory and speed:
 * Documentation/pin-index.md.
 *
 * All functions may sleep, and several threads may call them at a time, except
 * mdev_pins_destroy(). dma_unmap may call them too.
 */
#ifndef VFIO_CXX_MDEV_PINS_H
#define VFIO_CXX_MDEV_PINS_H

#ifdef __cplusplus /* the core of mdev.ko, which defines them */
#include "shim/base.h"
typedef u64 dma_addr_t;
enum dma_data_direction : int; /* NOLINT(readability-identifier-naming): the kernel's */
#else
#include <linux/dma-direction.h>
#include <linux/types.h>
#endif

struct device;
struct mdev_pins;
struct vfio_device;

/**
 * struct mdev_pin_run - pinned pages that follow each other
 * @iova: address of the first in the device's I/O space, page aligned
 * @npages: how many; their iova, pfn and dma all count up
 * @pfn: page frame number of the first
 * @dma: address of the first for the device that mdev_pins_create() was given;
 *	 0 without one
 * @count: how often each is pinned
 */
struct mdev_pin_run {
	u64 iova;
	u64 npages;
	u64 pfn;
	dma_addr_t dma;
	u32 count;
};

/**
 * mdev_pins_create() - create the record of the pages that a driver pins
 * @vdev: the device, for which vfio_register_emulated_iommu_dev() is called and
 *	  whose driver has a dma_unmap
 * @dma_dev: a device that does DMA to the pages and outlives the pins: each page
 *	     is mapped for it and has a DMA address. NULL if no device does
 * @dir: the direction of that DMA. If @dma_dev is not coherent, the caller calls
 *	 the dma_sync functions
 *
 * Context: the device need not be open.
 * Return: the pins; ERR_PTR of -ENOMEM, or of -EINVAL if @dir is no direction.
 */
struct mdev_pins *mdev_pins_create(struct vfio_device *vdev,
				   struct device *dma_dev,
				   enum dma_data_direction dir);

/**
 * mdev_pins_destroy() - unpin the pages that are left, and free the pins
 * @pins: the pins, or NULL. No other call uses them any more, nor does dma_unmap
 *
 * If pages are left, the device must be open, because VFIO unpins pages of open
 * devices only. It is still open while close_device runs; but VFIO may call
 * dma_unmap until close_device has returned. Therefore either close_device drops
 * all pages, and the pins are destroyed later; or a lock of the driver keeps
 * dma_unmap from using the pins.
 */
void mdev_pins_destroy(struct mdev_pins *pins);

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
 * Return: 0. Or one of these errors, and no page is pinned that was not before:
 * -EINVAL if a page is not mapped, @iova is not aligned, @npages is 0, the range
 *  passes 2^64, @prot is neither, or mdev_pins_drop() was called meanwhile for a
 *  part of the range;
 * -EPERM if a mapping does not allow @prot;
 * -EOVERFLOW if a page is pinned 4194303 times already;
 * -EIO if a page cannot be mapped for the DMA device;
 * -ENOMEM, and other errors of vfio_pin_pages().
 */
int mdev_pins_pin(struct mdev_pins *pins, u64 iova, u64 npages, int prot);

/**
 * mdev_pins_unpin() - unpin each page of a range once
 * @pins: the pins
 * @iova: address of the first page
 * @npages: how many pages; those that are not pinned are skipped
 *
 * When a page has been unpinned as often as it was pinned, its DMA mapping ends
 * and VFIO unpins it. The device is open.
 *
 * Context: allocates at most 96 bytes, and waits for them instead of failing
 * (Documentation/pin-index.md).
 * Return: how many of the pages were pinned.
 */
u64 mdev_pins_unpin(struct mdev_pins *pins, u64 iova, u64 npages);

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
 * Context: any locks of VFIO may be held.
 * Return: how many pages were pinned.
 */
u64 mdev_pins_drop(struct mdev_pins *pins, u64 iova, u64 length);

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
 * Return: whether the page is pinned.
 */
bool mdev_pins_find(struct mdev_pins *pins, u64 iova, struct mdev_pin_run *run);

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
 * Return: 0, or the first other value that @visit returned.
 */
int mdev_pins_for_each(struct mdev_pins *pins, u64 iova, u64 last,
		       int (*visit)(const struct mdev_pin_run *run, void *arg),
		       void *arg);

/**
 * mdev_pins_npages() - how many pages are pinned
 * @pins: the pins
 */
u64 mdev_pins_npages(struct mdev_pins *pins);

/**
 * mdev_pins_bytes() - how much memory the pins take
 * @pins: the pins
 */
u64 mdev_pins_bytes(struct mdev_pins *pins);

#endif
