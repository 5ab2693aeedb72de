/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What userspace says to vfio_testgate.ko, by ioctls on /dev/vfio_testgate (root). It compiles as
 * C and as C++. Each open file is the scheduler of up to VFIO_TESTGATE_DEVICES devices, until it
 * is closed.
 */
#ifndef VFIO_TESTGATE_H
#define VFIO_TESTGATE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define VFIO_TESTGATE_DEVICES 4

/* Registers as the scheduler of a PCI device. */
struct vfio_testgate_add {
	__u32 slot;	  /* which of the file's devices, and none yet */
	char name[32];	  /* of the device of the bus */
	__s32 open_errno; /* what before_open returns */
	__u32 may_switch; /* user_may_switch */
	__u32 edu;	  /* quiesce waits for QEMU's edu to end its DMA */
	__u32 hold;	  /* hold_interrupts */
};

struct vfio_testgate_switch {
	__u32 slot;
	__u32 to_slot; /* of VFIO_TESTGATE_SWITCH */
	__u32 deadline_us;
	__u64 cycles; /* out: what it took, by the counter of the processor's time */
};

/*
 * What the kernel does in a switch anyway, done alone: for the benchmark. The device is open, and
 * its scheduler leaves it alone meanwhile. Nothing is
 * filled in where it fails.
 */
struct vfio_testgate_alone {
	__u32 slot;
	__s32 device;	  /* the file of the device */
	__u64 zap_cycles; /* out: unmap_mapping_range() of all its windows */
	__u64 cut_cycles; /* out: iommu_detach_group(), from the domain that it is in */
	__u64 move_cycles; /* out: iommu_attach_group(), back */
};

#define VFIO_TESTGATE_PINS  256
#define VFIO_TESTGATE_BATCH 64

/*
 * Pins memory of the caller until the file is closed, for remapping; page 0 is the first that was
 * pinned.
 */
struct vfio_testgate_pin {
	__u64 vaddr;
	__u32 npages;
};

/* What is to be reached at an address, for VFIO_TESTGATE_REMAP. */
struct vfio_testgate_page {
	__u64 iova;
	__s32 pinned; /* the number of a page that is pinned; -1: the user's */
	__s32 bar_slot; /* if not -1: the first page of BAR 0 of the device in that slot */
};

struct vfio_testgate_remap {
	__u32 slot;
	__u32 count; /* of pages, VFIO_TESTGATE_BATCH at most */
	__u32 flush; /* whether to flush afterwards */
	__s32 done;  /* out: what vfio_gate_remap() returned */
	__u64 pages; /* the address of as many struct vfio_testgate_page */
	__u64 remap_cycles; /* out: what the remap took */
	__u64 all_cycles;   /* out: and the flush with it */
};

#define VFIO_TESTGATE_IO(nr, type) _IOWR(0xB8, nr, type)
#define VFIO_TESTGATE_ADD	   VFIO_TESTGATE_IO(0, struct vfio_testgate_add)
#define VFIO_TESTGATE_BLOCK	   VFIO_TESTGATE_IO(1, struct vfio_testgate_switch)
#define VFIO_TESTGATE_TRAP	   VFIO_TESTGATE_IO(2, struct vfio_testgate_switch)
#define VFIO_TESTGATE_OPEN	   VFIO_TESTGATE_IO(3, struct vfio_testgate_switch)
#define VFIO_TESTGATE_SWITCH	   VFIO_TESTGATE_IO(4, struct vfio_testgate_switch)
#define VFIO_TESTGATE_ALONE	   VFIO_TESTGATE_IO(5, struct vfio_testgate_alone)
#define VFIO_TESTGATE_PIN	   VFIO_TESTGATE_IO(6, struct vfio_testgate_pin)
#define VFIO_TESTGATE_REMAP	   VFIO_TESTGATE_IO(7, struct vfio_testgate_remap)

#endif
