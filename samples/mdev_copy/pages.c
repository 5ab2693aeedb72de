// SPDX-License-Identifier: GPL-2.0
/*
 * The pages that an instance has pinned. A page is pinned when a descriptor
 * first refers to it, and stays so until it is unmapped, the device is closed
 * or reset, or the limit wants room for others. mdev.ko keeps them: by IOVA,
 * with their frame and their address for the parent.
 */
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/mm.h>
#include <linux/module.h>
#include "copy.h"

#define MIN_LIMIT 256

static unsigned int max_pinned = 16384;
module_param(max_pinned, uint, 0644);
MODULE_PARM_DESC(max_pinned, "Pages an instance keeps pinned, 256 at least");

static const int mc_prot[MC_WAYS] = { IOMMU_READ, IOMMU_WRITE };
static const enum dma_data_direction mc_direction[MC_WAYS] = {
	DMA_TO_DEVICE, DMA_FROM_DEVICE
};

int mc_pages_create(struct mc *mc)
{
	struct device *dma_dev = mc->parent->edu ? mc->parent->dev : NULL;
	struct mdev_pins *pins;
	int way;

	for (way = 0; way < MC_WAYS; way++) {
		pins = mdev_pins_create(&mc->vdev, dma_dev, mc_direction[way]);
		if (IS_ERR(pins)) {
			mc_pages_destroy(mc);
			return PTR_ERR(pins);
		}
		mc->pins[way] = pins;
	}
	return 0;
}

void mc_pages_destroy(struct mc *mc)
{
	int way;

	for (way = 0; way < MC_WAYS; way++)
		mdev_pins_destroy(mc->pins[way]);
}

void mc_pages_drop(struct mc *mc, u64 iova, u64 length)
{
	int way;

	/*
	 * A mutex is not handed to who waits for it: the worker, which takes it for each
	 * chunk, would have it again before this thread runs.
	 */
	atomic_inc(&mc->dropping);
	mutex_lock(&mc->dma_lock);
	for (way = 0; way < MC_WAYS; way++)
		mdev_pins_drop(mc->pins[way], iova, length);
	mutex_unlock(&mc->dma_lock);
	if (atomic_dec_and_test(&mc->dropping))
		wake_up(&mc->dropped);
}

static int mc_first_run(const struct mdev_pin_run *run, void *arg)
{
	*(struct mdev_pin_run *)arg = *run;
	return 1;
}

u64 mc_pages_pinned(struct mc *mc)
{
	return mdev_pins_npages(mc->pins[MC_READ]) +
	       mdev_pins_npages(mc->pins[MC_WRITE]);
}

/*
 * By the worker, who alone pins: unpins, in the order of addresses and around,
 * until so many pages can be pinned within the limit.
 */
void mc_pages_make_room(struct mc *mc, u64 npages)
{
	u64 limit = max(READ_ONCE(max_pinned), (unsigned int)MIN_LIMIT) -
		    npages;
	struct mdev_pin_run run;
	int way = MC_READ, empty = 0;
	u64 pinned, excess;

	while (empty < MC_WAYS && (pinned = mc_pages_pinned(mc)) > limit) {
		struct mdev_pins *pins = mc->pins[way];

		if (!mdev_pins_for_each(pins, mc->hand[way], U64_MAX,
					mc_first_run, &run) &&
		    !mdev_pins_for_each(pins, 0, U64_MAX, mc_first_run, &run)) {
			empty++;
			way = !way;
			continue;
		}
		/* The last page's end may be 0, which is where to go on. */
		excess = min(pinned - limit, run.npages);
		mdev_pins_unpin(pins, run.iova, excess);
		mc->hand[way] = run.iova + (excess << PAGE_SHIFT);
	}
}

static u32 mc_error_of(int err)
{
	switch (err) {
	case -EINVAL:
	case -EFAULT:
		return MDEV_COPY_ERR_IOVA;
	case -EPERM:
		return MDEV_COPY_ERR_PROT;
	default:
		return MDEV_COPY_ERR_RESOURCES;
	}
}

/* The largest part of [iova, iova + npages) from iova on with nothing pinned. */
static u64 mc_gap(struct mdev_pins *pins, u64 iova, u64 npages)
{
	struct mdev_pin_run run;
	u64 last = iova + (npages << PAGE_SHIFT) - 1;

	if (!mdev_pins_for_each(pins, iova, last, mc_first_run, &run))
		return npages;
	return (run.iova - iova) >> PAGE_SHIFT;
}

/*
 * By the worker: pins what is not, so that each page is pinned once. On error
 * *fault_iova is the first page that cannot be.
 */
u32 mc_pages_pin(struct mc *mc, u64 iova, u64 npages, enum mc_way way,
		 u64 *fault_iova)
{
	struct mdev_pins *pins = mc->pins[way];
	struct mdev_pin_run run;
	u64 at_once = npages;
	u64 n;
	int err;

	while (npages) {
		if (mdev_pins_find(pins, iova, &run)) {
			n = min(run.npages, npages);
		} else {
			n = min(mc_gap(pins, iova, npages), at_once);
			err = mdev_pins_pin(pins, iova, n, mc_prot[way]);
			if (err && n == 1) {
				*fault_iova = iova;
				return mc_error_of(err);
			}
			/* All or nothing: one by one finds which page it is. */
			if (err) {
				at_once = 1;
				continue;
			}
		}
		iova += n << PAGE_SHIFT;
		npages -= n;
	}
	return MDEV_COPY_OK;
}

bool mc_pages_find_locked(struct mc *mc, u64 iova, enum mc_way way,
			  struct mc_place *place)
{
	struct mdev_pin_run run;

	lockdep_assert_held(&mc->dma_lock);
	if (!mdev_pins_find(mc->pins[way], iova & PAGE_MASK, &run))
		return false;
	/* A mapping of a device's memory: nothing that can be worked on. */
	if (!pfn_valid(run.pfn))
		return false;
	place->page = pfn_to_page(run.pfn);
	place->dma = run.dma;
	place->offset = offset_in_page(iova);
	return true;
}

u64 mc_pages_memory(struct mc *mc)
{
	return mdev_pins_bytes(mc->pins[MC_READ]) +
	       mdev_pins_bytes(mc->pins[MC_WRITE]);
}
