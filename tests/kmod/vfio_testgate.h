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
};

struct vfio_testgate_switch {
	__u32 slot;
	__u32 to_slot; /* of VFIO_TESTGATE_SWITCH */
	__u32 deadline_us;
	__u64 ns; /* out: how long it took */
};

#define VFIO_TESTGATE_IO(nr, type) _IOWR(0xB8, nr, type)
#define VFIO_TESTGATE_ADD	   VFIO_TESTGATE_IO(0, struct vfio_testgate_add)
#define VFIO_TESTGATE_BLOCK	   VFIO_TESTGATE_IO(1, struct vfio_testgate_switch)
#define VFIO_TESTGATE_TRAP	   VFIO_TESTGATE_IO(2, struct vfio_testgate_switch)
#define VFIO_TESTGATE_OPEN	   VFIO_TESTGATE_IO(3, struct vfio_testgate_switch)
#define VFIO_TESTGATE_SWITCH	   VFIO_TESTGATE_IO(4, struct vfio_testgate_switch)

#endif
