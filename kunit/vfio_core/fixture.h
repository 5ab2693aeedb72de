/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the suites stand on: emulated VFIO devices, the files of their groups
 * and of containers, opened by path as userspace does, and user memory for the
 * arguments of ioctls.
 *
 * Every test ends with a check that each device was closed as often as opened
 * and released once.
 */
#ifndef KUNIT_CORE_FIXTURE_H
#define KUNIT_CORE_FIXTURE_H

#include <kunit/test.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/iova_bitmap.h>
#include <linux/vfio.h>

#include "../process.h"

#define ARGS_SIZE (256 * 1024)

struct fixture {
	struct kunit *test;
	unsigned long args; /* user memory, ARGS_SIZE */
	struct file *files[16];
};

/**
 * struct sample - an emulated VFIO device, and what it was asked
 * @counts: outlives it
 */
struct sample {
	struct vfio_device vdev;
	struct sample_counts *counts;
};

struct sample_counts {
	struct device *parent;
	struct sample *sample;
	bool registered;
	int inits, releases, opens, closes, requests;
	int init_error, open_error;
	bool bare; /* without operations for migration and logging */
	u32 migration_flags;
	/* Of device_feature and ioctl: what was last asked, what to answer. */
	u32 flags;
	size_t argsz;
	unsigned int cmd;
	long answer;
	/* Of migration. */
	enum vfio_device_mig_state state;
	/* Of log_read_and_clear: what is dirty. */
	struct {
		u64 iova, size;
	} dirty[8];
	unsigned int ndirty;
	u64 log_page_size;
	unsigned int log_ranges;
	bool logging;
};

int fixture_init(struct kunit *test);
void fixture_exit(struct kunit *test);

/** sample_parent() - a device to put a sample on, and its counts */
struct sample_counts *sample_parent(struct fixture *f);

/** sample_alloc() - a sample that is not registered; NULL if init fails */
struct sample *sample_alloc(struct fixture *f, struct sample_counts *counts);

/** sample_create() - a sample, registered */
struct sample_counts *sample_create(struct fixture *f);

/** sample_register() - on a parent whose counts say of what kind */
void sample_register(struct fixture *f, struct sample_counts *counts);

/** sample_destroy() - unregister and put it */
void sample_destroy(struct sample_counts *counts);

/** sample_group_id() - the number of its IOMMU group */
int sample_group_id(struct sample_counts *counts);

/** fixture_open() - a file by path, closed when the test ends; errors as ERR_PTR */
struct file *fixture_open(struct fixture *f, const char *path);

/** fixture_close() - now, and not later in a work item */
void fixture_close(struct fixture *f, struct file *file);

/** open_container() and open_group() - which must succeed */
struct file *open_container(struct fixture *f);
struct file *open_group(struct fixture *f, struct sample_counts *counts);

/** open_device() - with its name; -errno as ERR_PTR */
struct file *open_device(struct fixture *f, struct file *group,
			 const char *name);

/** open_all() - a device with its group in a new container with an IOMMU */
struct file *open_all(struct fixture *f, struct sample_counts *counts);

/** file_ioctl() - argument by value */
long file_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/** file_ioctl_copy() - argument copied to user memory, and back */
long file_ioctl_copy(struct fixture *f, struct file *file, unsigned int cmd,
		     void *arg, size_t size);

/** set_container() - with a descriptor for it */
long set_container(struct fixture *f, struct file *group,
		   struct file *container);

#endif
