/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What userspace says to vfio_testdev.ko. It compiles as C and as C++.
 *
 * /dev/vfio_testdev (root) makes and removes devices and counts their
 * callbacks, also while a device is closed or going away. The other ioctls go
 * to the fd that VFIO_GROUP_GET_DEVICE_FD returns for such a device.
 *
 * Where a struct has a `ret` member, the ioctl itself returns 0 when it ran and
 * `ret` holds what the vfio function returned: a test then tells the two apart.
 */
#ifndef VFIO_TESTDEV_H
#define VFIO_TESTDEV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VFIO_TESTDEV_NAME	  "vfio_testdev"
#define VFIO_TESTDEV_REGION_SIZE  4096
#define VFIO_TESTDEV_IO(nr, type) _IOWR(0xB7, nr, type)

/* ---- control: ioctls on /dev/vfio_testdev ---- */

/* Kinds of device: which callbacks its vfio_device_ops has. */
enum {
	VFIO_TESTDEV_FULL,     /* all of them, its own match() included */
	VFIO_TESTDEV_NO_UNMAP, /* no dma_unmap(), no match() */
	VFIO_TESTDEV_BARE,     /* init() and release() alone */
};

#define VFIO_TESTDEV_MAX_SET 7
struct vfio_testdev_create {
	__u32 kind;
	__u32 set;	  /* 0: a set of its own, 1..MAX_SET: a shared set */
	__u32 mig_flags;  /* 0: no migration ops */
	__u32 log;	  /* 1: has dma-logging ops */
	__s32 init_errno; /* not 0: ops->init() fails so, its set joined */
	__s32 id;	  /* out */
	__s32 group;	  /* out: number in /dev/vfio */
	char name[32];	  /* out: for VFIO_GROUP_GET_DEVICE_FD */
};

struct vfio_testdev_stats {
	__s32 id; /* in, control fd only */
	__u32 opens;
	__u32 open_failures;
	__u32 closes;
	__u32 requests;
	__u32 inits;
	__u32 releases;
	__u32 unmaps;
	__u32 kvm_at_open;   /* device->kvm was set at the last open */
	__u32 kvm_at_close;  /* device->kvm was set at the last close */
	__u32 waits;	     /* how often an action began to wait */
	__u32 lock_timeouts; /* and how often it did not get kvm->lock */
	__s32 open_pin;	     /* what the last pin in open_device() returned */
};

struct vfio_testdev_open_errno {
	__s32 id;
	__s32 open_errno; /* negative errno, 0: opens succeed again */
};

/* What open_device() and close_device() do in addition. */
enum {
	VFIO_TESTDEV_ACT_PIN = 1, /* open pins npage pages of iova */
	/*
	 * Open and close wait for delay_ms, then take and release kvm->lock.
	 * Open fails with -ETIMEDOUT if it does not get the lock in 5 seconds.
	 */
	VFIO_TESTDEV_ACT_KVM_LOCK = 2,
};

struct vfio_testdev_act {
	__s32 id;
	__u32 what; /* VFIO_TESTDEV_ACT_* or-ed, 0: nothing again */
	__u64 iova;
	__s32 npage; /* 1..512 */
	__u32 delay_ms;
};

#define VFIO_TESTDEV_CREATE VFIO_TESTDEV_IO(0x01, struct vfio_testdev_create)
/* Unregisters, so it waits for users of the device as an unbind does. */
#define VFIO_TESTDEV_DESTROY VFIO_TESTDEV_IO(0x02, __s32)
#define VFIO_TESTDEV_STATS   VFIO_TESTDEV_IO(0x03, struct vfio_testdev_stats)
#define VFIO_TESTDEV_OPEN_ERRNO \
	VFIO_TESTDEV_IO(0x04, struct vfio_testdev_open_errno)
/* For a device that is closed. */
#define VFIO_TESTDEV_ACT VFIO_TESTDEV_IO(0x05, struct vfio_testdev_act)

/* ---- pinning ---- */

#define VFIO_TESTDEV_KTHREAD \
	(1 << 0) /* call from a kernel worker, not from current */
#define VFIO_TESTDEV_NO_PAGES \
	(1 << 1) /* PIN: pass no array; DMA_RW: no buffer */
#define VFIO_TESTDEV_RAW \
	(1 << 2) /* UNPIN: also what is not pinned; it must be mapped */
#define VFIO_TESTDEV_PROT_READ	1
#define VFIO_TESTDEV_PROT_WRITE 2

struct vfio_testdev_pin {
	__u64 iova;
	__u64 pfns; /* user array of npage __u64, or 0 */
	__s32 npage;
	__u32 prot;
	__u32 flags;
	__s32 ret;
};

/* All of npages from iova on, in calls of per_call pages each. */
struct vfio_testdev_sweep {
	__u64 iova;
	__u64 npages; /* a multiple of per_call */
	__u32 per_call;
	__u32 prot;
	__u32 unpin; /* 0: pin; nothing stays pinned if a call fails */
	__u32 flags; /* VFIO_TESTDEV_KTHREAD */
	__s32 ret;   /* 0, or what the call that failed returned */
	__u32 pad;
};

struct vfio_testdev_dma_rw {
	__u64 iova;
	__u64 data; /* user buffer */
	__u32 size; /* at most 1 MiB */
	__u32 write;
	__u32 flags;
	__s32 ret;
};

/* What dma_unmap() does with pins in the range. */
enum {
	VFIO_TESTDEV_UNPIN_NOW,
	VFIO_TESTDEV_UNPIN_WORKER, /* a worker unpins; the callback waits for it */
	VFIO_TESTDEV_UNPIN_LATER, /* nothing for `ignore` calls, then at once */
	VFIO_TESTDEV_UNPIN_SLOWLY, /* after 11 seconds */
};

struct vfio_testdev_policy {
	__u32 policy;
	__u32 ignore;
};

struct vfio_testdev_unmap_event {
	__u64 iova;
	__u64 size;
};

#define VFIO_TESTDEV_MAX_EVENTS 64
struct vfio_testdev_events {
	__u64 events; /* user array of VFIO_TESTDEV_MAX_EVENTS */
	__u32 count;  /* out: how many are in it; they are then forgotten */
	__u32 lost;   /* out: older ones that did not fit */
};

#define VFIO_TESTDEV_PIN    VFIO_TESTDEV_IO(0x10, struct vfio_testdev_pin)
#define VFIO_TESTDEV_UNPIN  VFIO_TESTDEV_IO(0x11, struct vfio_testdev_pin)
#define VFIO_TESTDEV_DMA_RW VFIO_TESTDEV_IO(0x12, struct vfio_testdev_dma_rw)
#define VFIO_TESTDEV_POLICY VFIO_TESTDEV_IO(0x13, struct vfio_testdev_policy)
#define VFIO_TESTDEV_EVENTS VFIO_TESTDEV_IO(0x14, struct vfio_testdev_events)
/* Pins that the device does not record: the caller takes them back by another. */
#define VFIO_TESTDEV_SWEEP VFIO_TESTDEV_IO(0x15, struct vfio_testdev_sweep)

/* ---- device: counters, sets, files ---- */

struct vfio_testdev_set {
	__u32 open_count;
	__u32 device_count;
};

struct vfio_testdev_file {
	__s32 fd;
	__u32 is_group;
	__u32 enforced_coherent;
	__u32 has_dev;
	__u32 has_iommu_group;
};

#define VFIO_TESTDEV_DEV_STATS VFIO_TESTDEV_IO(0x20, struct vfio_testdev_stats)
#define VFIO_TESTDEV_SET       VFIO_TESTDEV_IO(0x21, struct vfio_testdev_set)
#define VFIO_TESTDEV_FILE      VFIO_TESTDEV_IO(0x22, struct vfio_testdev_file)
/* An eventfd that ops->request() signals. */
#define VFIO_TESTDEV_REQUEST_FD VFIO_TESTDEV_IO(0x23, __s32)
/* Returns its argument: the core hands cmd and arg through as they are. */
#define VFIO_TESTDEV_ECHO _IO(0xB7, 0x24)

/* A VFIO_DEVICE_FEATURE that belongs to the driver: __u64, get and set. */
#define VFIO_TESTDEV_FEATURE 0x7e57

/* ---- migration ---- */

struct vfio_testdev_next_state {
	__u32 cur; /* ERANGE if the device cannot be in it */
	__u32 target;
	__u32 next; /* out, ~0 if ret is not 0 */
	__s32 ret;
};

struct vfio_testdev_mig_fail {
	__s32 set_errno; /* negative errno for migration_set_state, 0: none */
	__s32 get_errno;
};

#define VFIO_TESTDEV_NEXT_STATE \
	VFIO_TESTDEV_IO(0x30, struct vfio_testdev_next_state)
#define VFIO_TESTDEV_MIG_FAIL \
	VFIO_TESTDEV_IO(0x31, struct vfio_testdev_mig_fail)

/* ---- dma logging ---- */

#define VFIO_TESTDEV_MAX_RANGES 256
struct vfio_testdev_range {
	__u64 iova;
	__u64 size;
};

struct vfio_testdev_log_config {
	__u64 dirty; /* user array of ndirty ranges that are reported dirty */
	__u32 ndirty;
	__s32 start_errno; /* negative errno, 0: none */
	__s32 stop_errno;
	__s32 read_errno;
	__u64 page_size; /* not 0: what log_start() makes of the page size */
};

struct vfio_testdev_log_status {
	__u64 ranges;	 /* user array of VFIO_TESTDEV_MAX_RANGES, or 0 */
	__u64 page_size; /* as log_start() got it */
	__u32 nranges;	 /* out: of the last log_start() */
	__u32 active;
	__u32 starts;
	__u32 stops;
	__u32 reads; /* calls of log_read_and_clear() */
	__u32 gaps; /* of these, how many did not begin where the one before ended */
	__u64 first_iova; /* of the reads since the last LOG_CONFIG */
	__u64 read_size;
};

#define VFIO_TESTDEV_LOG_CONFIG \
	VFIO_TESTDEV_IO(0x40, struct vfio_testdev_log_config)
#define VFIO_TESTDEV_LOG_STATUS \
	VFIO_TESTDEV_IO(0x41, struct vfio_testdev_log_status)

/* ---- helpers for drivers ---- */

struct vfio_testdev_cap {
	__u16 id;
	__u16 version;
	__u32 size; /* of the whole capability, 8..4096 */
	__u8 fill;  /* its payload */
	__u8 copy;  /* 0: vfio_info_cap_add, 1: vfio_info_add_capability */
	__u8 pad[2];
};

#define VFIO_TESTDEV_MAX_CAPS 16
struct vfio_testdev_caps {
	__u64 caps; /* user array of struct vfio_testdev_cap */
	__u64 buf;  /* user buffer for the chain */
	__u32 ncaps;
	__u32 buf_size;
	__u32 shift; /* for vfio_info_cap_shift(), ~0: do not call it */
	__u32 size;  /* out: bytes of the chain */
};

struct vfio_testdev_irqs {
	__u32 argsz; /* these five: struct vfio_irq_set */
	__u32 flags;
	__u32 index;
	__u32 start;
	__u32 count;
	__s32 num_irqs;
	__s32 max_irq_type;
	__u32 want_size; /* pass a place for data_size */
	__u64 data_size; /* out; ~0 where the function wrote nothing */
	__s32 ret;
	__u32 pad;
};

#define VFIO_TESTDEV_CAPS VFIO_TESTDEV_IO(0x50, struct vfio_testdev_caps)
#define VFIO_TESTDEV_IRQS VFIO_TESTDEV_IO(0x51, struct vfio_testdev_irqs)

#endif
