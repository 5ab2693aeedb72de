/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of vfio_testdev.ko share.
 *
 * A slot is a device that was asked for: it keeps the configuration and the
 * counters and lives until DESTROY, whether or not a driver is bound. A testdev
 * is the vfio_device of a bound slot. Each testdev holds a reference of its slot.
 *
 * Locks: no lock of this module but pinning is held while a vfio function is
 * called that may wait for the container, because dma_unmap() runs under a lock
 * of type1 and takes pin_lock itself. pinning is held, shared, over a pin or
 * unpin and its record, so that dma_unmap() can wait for those under way.
 * mig_lock and log_lock stand alone.
 */
#ifndef TESTDEV_H
#define TESTDEV_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/rwsem.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include "compat/driver.h"
#include "vfio_testdev.h"

struct testdev_slot {
	struct kref kref;
	struct list_head node; /* in control.c's list */
	struct platform_device *pdev;
	struct vfio_testdev_create config;
	int probe_errno;
	bool dying; /* DESTROY has begun; under the list's lock */
	int open_errno;
	atomic_t opens, open_failures, closes, requests, inits, releases,
		unmaps, waits, lock_timeouts;
	struct vfio_testdev_act act;
	int open_pin;
	bool kvm_at_open, kvm_at_close;
};

struct testdev_migration {
	struct mutex mig_lock; /* all of it */
	enum vfio_device_mig_state state;
	struct file *data; /* in STOP_COPY and RESUMING */
	int set_errno, get_errno;
};

struct testdev_logging {
	struct mutex log_lock; /* all of it */
	struct vfio_testdev_log_config config;
	struct vfio_testdev_log_status status;
	struct vfio_testdev_range *dirty; /* MAX_RANGES of each */
	struct vfio_testdev_range *ranges;
	u64 next_iova;
};

struct testdev {
	struct vfio_device vdev;
	struct testdev_slot *slot;
	struct page *region;
	u64 feature;
	struct mutex request_lock; /* request_fd */
	struct eventfd_ctx *request_fd;

	struct rw_semaphore pinning; /* see above */
	struct mutex pin_lock;	     /* pins, policy, events */
	struct xarray pins;	     /* iova / PAGE_SIZE -> how often pinned */
	u32 policy, ignore;
	struct vfio_testdev_unmap_event events[VFIO_TESTDEV_MAX_EVENTS];
	u32 nevents, lost_events;

	struct testdev_migration mig;
	struct testdev_logging log;
};

static inline struct testdev *to_testdev(struct vfio_device *vdev)
{
	return container_of(vdev, struct testdev, vdev);
}

extern const struct vfio_device_ops testdev_ops_full;
extern const struct vfio_device_ops testdev_ops_no_unmap;
extern const struct vfio_device_ops testdev_ops_bare;
extern const struct vfio_migration_ops testdev_mig_ops;
extern const struct vfio_log_ops testdev_log_ops;

/* The slot of a platform device: its platform data is a pointer to it. */
static inline struct testdev_slot *testdev_slot_of(struct device *dev)
{
	return *(struct testdev_slot **)dev_get_platdata(dev);
}

/* control.c */
void testdev_slot_put(struct testdev_slot *slot);
void testdev_slot_stats(struct testdev_slot *slot,
			struct vfio_testdev_stats *stats);

/* dma.c */
void testdev_dma_init(struct testdev *td);
void testdev_dma_close(struct testdev *td);
void testdev_dma_unmap(struct vfio_device *vdev, u64 iova, u64 size);
/* Pins as VFIO_TESTDEV_PIN does; returns what vfio_pin_pages() returned. */
int testdev_pin(struct testdev *td, u64 iova, int npage, int prot);
long testdev_dma_ioctl(struct testdev *td, unsigned int cmd, void __user *arg);

/* act.c */
int testdev_act_open(struct testdev *td);
void testdev_act_close(struct testdev *td);

/* sweep.c */
long testdev_sweep_ioctl(struct testdev *td, void __user *arg);

/* migration.c */
void testdev_mig_init(struct testdev *td);
void testdev_mig_close(struct testdev *td);
long testdev_mig_ioctl(struct testdev *td, unsigned int cmd, void __user *arg);

/* logging.c */
int testdev_log_init(struct testdev *td);
void testdev_log_close(struct testdev *td);
void testdev_log_free(struct testdev *td);
long testdev_log_ioctl(struct testdev *td, unsigned int cmd, void __user *arg);

/* helpers.c */
long testdev_helpers_ioctl(struct testdev *td, unsigned int cmd,
			   void __user *arg);

#endif
