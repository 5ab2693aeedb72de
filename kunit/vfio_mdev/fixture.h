/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites stand on: a device that is a parent of mediated devices of
 * two types, their driver, and a mediated device that pins, open in a container.
 *
 * Every test ends with a check that each mediated device was removed, and that
 * none has anything pinned.
 */
#ifndef KUNIT_MDEV_FIXTURE_H
#define KUNIT_MDEV_FIXTURE_H

#include <linux/mdev.h>

#include "../vfio_core/fixture.h"
#include "vfio_cxx/mdev_pins.h"

#define MAX_INSTANCES 3

/**
 * struct mediated - a mediated device
 * @vdev: its VFIO device
 * @pins: what it has pinned
 * @unmaps: how often it heard of an unmap
 */
struct mediated {
	struct vfio_device vdev;
	struct mdev_pins *pins;
	unsigned int unmaps;
};

struct mdev_fixture {
	struct fixture files; /* first: test->priv is both */
	struct device *dev;
	struct mdev_parent parent;
	struct mdev_type types[2];
	struct mdev_type *list[2];
	bool registered;
	/* Of the device that pinning_open() opened. */
	struct mediated *mediated;
	struct file *container;
	unsigned long memory, npages;
};

/* The driver of all mediated devices here, and what it was asked. */
extern struct mdev_driver kunit_mdev_driver;
extern struct mediated_counts {
	atomic_t probes, removes;
	int probe_error;
	/* For whom mdev_pins_create() makes DMA addresses. */
	struct device *dma_dev;
	struct mediated *last;
} mediated_counts;

int mdev_fixture_init(struct kunit *test);
void mdev_fixture_exit(struct kunit *test);

int fixture_register(struct mdev_fixture *f);
void fixture_unregister(struct mdev_fixture *f);

/** write_file() - as userspace does; bytes, or a negative errno */
long write_file(const char *path, const char *text);

/** read_file() - what it says, or "" */
void read_file(const char *path, char *text, size_t size);

/** fixture_create() - writes to a type's create; 0 or a negative errno */
long fixture_create(struct mdev_fixture *f, unsigned int type,
		    const char *uuid);

/** fixture_remove() - writes to a device's remove */
long fixture_remove(const char *uuid);

/** fixture_available() - what a type's available_instances says */
int fixture_available(struct mdev_fixture *f, unsigned int type);

/** fixture_uuid() - the text of one of them; valid until the next call */
const char *fixture_uuid(unsigned int number);

/** pinning_open() - a device with memory of so many pages mapped at 0 */
struct mdev_pins *pinning_open(struct mdev_fixture *f, unsigned long npages,
			       bool with_dma);

long pinning_map(struct mdev_fixture *f, u64 iova, unsigned long uva,
		 u64 npages, u32 flags);
long pinning_unmap(struct mdev_fixture *f, u64 iova, u64 npages);

/** page_pins() - how often a page of the memory is pinned */
int page_pins(struct mdev_fixture *f, unsigned long nr);

/**
 * fixture_sweep() - a call with its 1st, 2nd, ... allocation failing
 * @f: the fixture
 * @call: 0 or a negative errno
 * @undo: what it did
 * @same: checks that all is as it was
 *
 * Return: how many there were.
 */
unsigned int fixture_sweep(struct mdev_fixture *f,
			   int (*call)(struct mdev_fixture *f),
			   void (*undo)(struct mdev_fixture *f),
			   void (*same)(struct mdev_fixture *f));

#endif
