/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of mdev_copy.ko share.
 *
 * A parent is divided into instances; each has its own worker, a thread that
 * takes descriptors from the ring while the device is open.
 *
 * Locks, outermost first:
 *   control   one change of CTRL, or reset, at a time; may wait for the worker
 * inside it, not together:
 *   lock      registers, configuration space, eventfds; never held over work
 *   dma_lock  whoever uses pinned pages has it, so that dma_unmap(), which runs
 *	       under a lock of the IOMMU driver, waits for a chunk of work and no
 *	       longer. Nothing is pinned with it, since that may wait for type1.
 *   mc_edu's  inside dma_lock: the parent's engine has one user at a time
 */
#ifndef COPY_H
#define COPY_H

#include <linux/eventfd.h>
#include <linux/mdev.h>
#include <linux/mutex.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <vfio_cxx/mdev_pins.h>
#include "compat/driver.h"
#include "mdev_copy.h"

struct mc_edu;

/* A page is pinned for each of these on its own, as the mapping may allow one. */
enum mc_way {
	MC_READ,
	MC_WRITE,
	MC_WAYS,
};

#define MC_TYPES 3

/* How often a page is pinned for one purpose, if others unmap it each time. */
#define MC_TRIES 4

struct mc_type {
	struct mdev_type mdev;
	u32 entries; /* of the largest ring */
};

struct mc_parent {
	struct device *dev;
	struct mdev_parent mdev;
	struct mc_type types[MC_TYPES];
	struct mdev_type *type_list[MC_TYPES];
	atomic_t free_entries;
	struct mc_edu *edu; /* its DMA engine; NULL: the CPU does the work */
};

struct mc_regs {
	u32 ctrl;
	u32 status; /* ERROR and HALTED */
	u32 error;
	u32 ring_size;
	u64 ring_base;
	u32 head;
	u64 fault_iova;
	u64 completed;
	u64 failed;
	u64 bytes;
};

/* The eventfds, by what they are for. */
enum mc_event {
	MC_EVENT_MSI,
	MC_EVENT_REQUEST, /* the device is wanted back */
	MC_EVENTS,
};

#define MC_CONFIG_SIZE 256

struct mc {
	struct vfio_device vdev;
	struct mc_parent *parent;
	u32 entries;

	struct mutex control;
	struct mutex lock;
	struct mc_regs regs;
	u8 config[MC_CONFIG_SIZE];
	struct eventfd_ctx *events[MC_EVENTS];
	bool busy; /* the worker has a descriptor; under lock */

	struct page *doorbell;
	struct task_struct *worker;
	wait_queue_head_t wake;	 /* the worker waits */
	wait_queue_head_t quiet; /* somebody waits until it is not busy */
	bool kicked;

	struct mutex dma_lock;
	atomic_t dropping;	   /* unmaps that want dma_lock */
	wait_queue_head_t dropped; /* the worker waits until there is none */
	struct mdev_pins *pins[MC_WAYS];
	u64 hand[MC_WAYS]; /* where the worker unpins next, if it must */
	atomic64_t moved;  /* bytes, by the parent's engine */
};

static inline struct mc *to_mc(struct vfio_device *vdev)
{
	return container_of(vdev, struct mc, vdev);
}

static inline struct mdev_copy_doorbell *mc_doorbell(struct mc *mc)
{
	return page_address(mc->doorbell);
}

/* A place in a pinned page. */
struct mc_place {
	struct page *page;
	dma_addr_t dma; /* of the page, for the parent */
	u32 offset;
};

/* device.c */
extern const struct vfio_device_ops mc_device_ops;

/* config.c: with mc->lock */
void mc_config_reset(struct mc *mc);
u8 mc_config_read(struct mc *mc, u32 offset);
void mc_config_write(struct mc *mc, u32 offset, u8 value);
bool mc_config_master(const struct mc *mc);

/* regs.c */
void mc_regs_init(struct mc *mc);
u32 mc_regs_read(struct mc *mc, u32 offset);
void mc_regs_write(struct mc *mc, u32 offset, u32 value);
u32 mc_doorbell_read(struct mc *mc, u32 offset);
void mc_doorbell_write(struct mc *mc, u32 offset, u32 value);
void mc_reset(struct mc *mc);

/* irq.c */
long mc_irq_info(struct mc *mc, void __user *arg);
long mc_set_irqs(struct mc *mc, void __user *arg);
void mc_irq_release(struct mc *mc);
void mc_signal_locked(struct mc *mc, enum mc_event event);

/* ring.c */
int mc_worker_start(struct mc *mc);
void mc_worker_stop(struct mc *mc);
void mc_kick(struct mc *mc);
void mc_wait_quiet(struct mc *mc);
bool mc_aborted(struct mc *mc);

/* job.c: errors are MDEV_COPY_ERR_* */
struct mc_job {
	u64 src, dst;
	u32 length, op, value;
	u32 done;
	u64 fault_iova;
};
u32 mc_job_run(struct mc *mc, struct mc_job *job);

/* pages.c */
int mc_pages_create(struct mc *mc);
void mc_pages_destroy(struct mc *mc);
void mc_pages_drop(struct mc *mc, u64 iova, u64 length);
void mc_pages_make_room(struct mc *mc, u64 npages);
u32 mc_pages_pin(struct mc *mc, u64 iova, u64 npages, enum mc_way way,
		 u64 *fault_iova);
bool mc_pages_find_locked(struct mc *mc, u64 iova, enum mc_way way,
			  struct mc_place *place);
u64 mc_pages_pinned(struct mc *mc);
u64 mc_pages_memory(struct mc *mc);

/* engine.c: with dma_lock, within a page each; 0 or -EIO */
int mc_engine_copy(struct mc *mc, const struct mc_place *dst,
		   const struct mc_place *src, u32 size);
int mc_engine_fill(struct mc *mc, const struct mc_place *dst, u32 value,
		   u32 size);
int mc_engine_crc32(struct mc *mc, const struct mc_place *src, u32 *crc,
		    u32 size);

/* edu.c: the engine of QEMU's edu; 0 or -EIO */
struct pci_dev;
struct mc_edu *mc_edu_create(struct pci_dev *pdev);
void mc_edu_destroy(struct mc_edu *edu);
int mc_edu_copy(struct mc_edu *edu, dma_addr_t dst, dma_addr_t src, u32 size);
int mc_edu_fill(struct mc_edu *edu, dma_addr_t dst, u32 value, u32 size);
int mc_edu_crc32(struct mc_edu *edu, dma_addr_t src, u32 *crc, u32 size);

/* parent.c */
struct mc_parent *mc_parent_of(struct device *dev, u32 *entries);
int mc_parent_register(struct mc_parent *parent, struct device *dev,
		       struct mc_edu *edu);
void mc_parent_unregister(struct mc_parent *parent);
extern struct mdev_driver mc_mdev_driver;

#endif
