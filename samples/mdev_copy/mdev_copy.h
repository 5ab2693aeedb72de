/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mdev_copy as a program sees it: registers, doorbell page, descriptors. It
 * compiles as C and as C++, in the kernel and outside; README.md beside it
 * tells how the parts work together.
 *
 * Everything is little-endian. Registers are accessed by 4 or 8 bytes, aligned
 * to 4. RO ignores writes.
 */
#ifndef MDEV_COPY_H
#define MDEV_COPY_H

#include <linux/types.h>

/* In the PCI configuration space; the class is that of accelerators. */
#define MDEV_COPY_VENDOR_ID 0x1234
#define MDEV_COPY_DEVICE_ID 0x4d43
#define MDEV_COPY_CLASS	    0x120000

/* ---- BAR 0: registers, one page; through read() and write() only ---- */

/* Of 4 bytes, or 8 where it says so. */
enum {
	MDEV_COPY_ID = 0x00,	    /* RO: MDEV_COPY_MAGIC */
	MDEV_COPY_VERSION = 0x04,   /* RO: 1 */
	MDEV_COPY_CAPS = 0x08,	    /* RO: MDEV_COPY_CAP_* */
	MDEV_COPY_RING_MAX = 0x0c,  /* RO: most entries a ring may have */
	MDEV_COPY_CTRL = 0x10,	    /* MDEV_COPY_CTRL_* */
	MDEV_COPY_STATUS = 0x14,    /* MDEV_COPY_STATUS_* */
	MDEV_COPY_ERROR = 0x18,	    /* RO: MDEV_COPY_ERR_*, the last one */
	MDEV_COPY_RING_SIZE = 0x1c, /* entries, a power of two */
	MDEV_COPY_RING_BASE = 0x20, /* 8: IOVA, a multiple of 64 */
	MDEV_COPY_HEAD = 0x28,	    /* RO: the entry that is next */
	MDEV_COPY_TAIL = 0x2c,	    /* behind the last entry; also a doorbell */
	MDEV_COPY_KICK = 0x30,	    /* any write: look at the doorbell page */
	MDEV_COPY_FAULT_IOVA = 0x38,   /* RO, 8: page of the last error */
	MDEV_COPY_COMPLETED = 0x40,    /* RO, 8: descriptors, failed or not */
	MDEV_COPY_FAILED = 0x48,       /* RO, 8: descriptors */
	MDEV_COPY_BYTES = 0x50,	       /* RO, 8: worked on */
	MDEV_COPY_PARENT_BYTES = 0x58, /* RO, 8: in and out of its engine */
	MDEV_COPY_PINNED = 0x60,       /* RO, 8: pages that are pinned now */
	MDEV_COPY_PIN_MEMORY = 0x68,   /* RO, 8: bytes that this takes */
};

#define MDEV_COPY_MAGIC	    0x5950434du /* "MCPY" */
#define MDEV_COPY_BAR0_SIZE 0x1000

/* The parent's DMA engine moves the data. */
#define MDEV_COPY_CAP_PARENT 0x1

/* Turned on: HEAD and TAIL become 0; off: what is in work is given up. */
#define MDEV_COPY_CTRL_ENABLE 0x1
/* When idle, look at the doorbell page for a while. */
#define MDEV_COPY_CTRL_POLL 0x2

/* A descriptor or the ring failed; write 1 to clear. */
#define MDEV_COPY_STATUS_ERROR 0x1
/* RO: the ring failed; until it is enabled again. */
#define MDEV_COPY_STATUS_HALTED 0x2
/* RO: a descriptor is in work. */
#define MDEV_COPY_STATUS_BUSY 0x4

/* ---- BAR 2: the doorbell page; may be mapped ---- */

/*
 * Store the tail here. The device sees it if it is at work or polls; with
 * `asleep` not 0, looked at behind a full barrier, it does neither: write
 * MDEV_COPY_KICK. A write() to the page kicks by itself.
 */
struct mdev_copy_doorbell {
	__le32 tail;
	__le32 asleep; /* the device's */
};

#define MDEV_COPY_BAR2_SIZE 0x1000

/* ---- descriptors ---- */

enum {
	MDEV_COPY_OP_COPY = 1,	/* src to dst; they may not overlap */
	MDEV_COPY_OP_FILL = 2,	/* dst with `value`; by 4 bytes, aligned */
	MDEV_COPY_OP_CRC32 = 3, /* of src, from `value` on; into result */
};

#define MDEV_COPY_DESC_IRQ   0x1 /* raise the MSI when done */
#define MDEV_COPY_MAX_LENGTH (64u << 20)

/* Status: 0 until the device is done with a descriptor; it is written last. */
#define MDEV_COPY_DONE 0x80000000u /* and an MDEV_COPY_ERR_* */

enum {
	MDEV_COPY_OK = 0,
	MDEV_COPY_ERR_OP = 1,	  /* no such operation or flag */
	MDEV_COPY_ERR_LENGTH = 2, /* 0, too long, not aligned, or past 2^64 */
	MDEV_COPY_ERR_OVERLAP = 3,
	MDEV_COPY_ERR_IOVA = 4,	     /* nothing mapped at the fault's address */
	MDEV_COPY_ERR_PROT = 5,	     /* it is mapped, but not for this */
	MDEV_COPY_ERR_RESOURCES = 6, /* it cannot be pinned: limits, memory */
	MDEV_COPY_ERR_PARENT = 7,  /* the parent's DMA engine does not answer */
	MDEV_COPY_ERR_ABORTED = 8, /* disabled or reset meanwhile */
	/* These are the ring's and halt it. */
	MDEV_COPY_ERR_RING = 9,	   /* bad base or size */
	MDEV_COPY_ERR_TAIL = 10,   /* not below the ring's size */
	MDEV_COPY_ERR_MASTER = 11, /* PCI command: bus mastering is off */
};

struct mdev_copy_desc {
	__le64 src;    /* IOVA */
	__le64 dst;    /* IOVA */
	__le32 length; /* bytes */
	__le32 op;     /* MDEV_COPY_OP_* */
	__le32 value;  /* fill: the pattern; CRC32: the CRC so far, e.g. ~0 */
	__le32 flags;  /* MDEV_COPY_DESC_* */
	__le64 cookie; /* the program's; not looked at */
	/* Written by the device: */
	__le64 fault_iova; /* the page, of ERR_IOVA, _PROT, _RESOURCES */
	__le32 result;	   /* CRC32: as crc32_le() gives it, not inverted */
	__le32 done;	   /* bytes worked on */
	__le32 reserved;
	__le32 status;
};

#define MDEV_COPY_DESC_SIZE 64

#endif
