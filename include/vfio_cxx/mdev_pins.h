/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pins of a mediated device: what mdev.ko offers to drivers of devices
 * that pin the pages of their user, so that none needs trees of its own.
 *
 * A struct mdev_pins belongs to a vfio_device and remembers by iova which pages
 * the driver has pinned, how often, and at which address the parent device
 * reaches them. Memory and speed: Documentation/pin-index.md.
 *
 *	pins = mdev_pins_create(vdev, parent_dev, DMA_BIDIRECTIONAL);
 *	err = mdev_pins_pin(pins, iova, npages, IOMMU_READ | IOMMU_WRITE);
 *	if (mdev_pins_find(pins, iova, &run))
 *		give_to_device(run.dma);
 *	mdev_pins_unpin(pins, iova, npages);
 *	mdev_pins_destroy(pins);
 *
 * In vfio_device_ops.dma_unmap, which a driver must have that pins:
 *
 *	stop_using(iova, length);
 *	mdev_pins_drop(pins, iova, length);
 *
 * and in close_device, for dma_unmap may still be called while that runs, and
 * must find the pins there:
 *
 *	stop_using_all();
 *	mdev_pins_drop(pins, 0, U64_MAX);
 *
 * They may be destroyed while the device is closed, in its remove() or release()
 * for example, and must exist before it is opened: dma_unmap may be called before
 * open_device is.
 *
 * All functions may sleep and be called by several threads at a time, from
 * dma_unmap too, but for mdev_pins_destroy(). The contract of each stands with
 * it in vfio_mdev/pins_exports.c.
 */
#ifndef VFIO_CXX_MDEV_PINS_H
#define VFIO_CXX_MDEV_PINS_H

#include <linux/dma-direction.h>
#include <linux/types.h>

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

/* ERR_PTR of -EINVAL, -ENOMEM. dma_dev may be NULL. */
struct mdev_pins *mdev_pins_create(struct vfio_device *vdev,
				   struct device *dma_dev,
				   enum dma_data_direction dir);

/* Unpins what is left. NULL does nothing. */
void mdev_pins_destroy(struct mdev_pins *pins);

/* Each page once more, all or none. 0 or a negative errno. */
int mdev_pins_pin(struct mdev_pins *pins, u64 iova, u64 npages, int prot);

/* Each page once, if it is pinned. How many were. */
u64 mdev_pins_unpin(struct mdev_pins *pins, u64 iova, u64 npages);

/* All of [iova, iova + length), however often it is pinned. How many were. */
u64 mdev_pins_drop(struct mdev_pins *pins, u64 iova, u64 length);

/* What is pinned from iova on. */
bool mdev_pins_find(struct mdev_pins *pins, u64 iova, struct mdev_pin_run *run);

/* Visits [iova, last] in order; returns the first non-zero value of visit(). */
int mdev_pins_for_each(struct mdev_pins *pins, u64 iova, u64 last,
		       int (*visit)(const struct mdev_pin_run *run, void *arg),
		       void *arg);

/* Pages that are pinned; bytes of memory that remembering them takes. */
u64 mdev_pins_npages(struct mdev_pins *pins);
u64 mdev_pins_bytes(struct mdev_pins *pins);

#endif
