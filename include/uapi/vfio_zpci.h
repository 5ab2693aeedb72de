/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * vfio_zpci: a VFIO IOMMU driver whose devices follow a guest's own I/O page table.
 *
 * VFIO_SET_IOMMU with VFIO_ZPCI_IOMMU makes a container the IOMMU of one guest.
 * VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA then describe the guest's memory, with guest
 * physical addresses as IOVAs, by the rules of type1 version 2; VFIO_IOMMU_GET_INFO says
 * how many more mappings there may be. Devices do not reach that memory at these
 * addresses. What a device reaches is said by the guest's table that is registered for its
 * function, and is brought up to date by VFIO_ZPCI_REFRESH.
 *
 * The outcomes of a refresh are those of the instruction Refresh PCI Translations
 * (RPCIT) of s390; guests of other machines use them as well.
 *
 * All structures begin with argsz, the size that the caller knows of, and flags. A smaller
 * argsz than the structure's, unknown flags or a reserved field that is not 0 are EINVAL.
 * All ioctls below are ENOENT for a function handle that is not known, but for
 * VFIO_ZPCI_REGISTER, which makes it known, and refreshes, which say so by cc.
 *
 * A guest can also have its refreshes done without an exit to the VMM: VFIO_ZPCI_SET_DOORBELL.
 */
#ifndef UAPI_VFIO_ZPCI_H
#define UAPI_VFIO_ZPCI_H

#include <linux/types.h>
#include <linux/vfio.h>

/* For VFIO_CHECK_EXTENSION and VFIO_SET_IOMMU. */
#define VFIO_ZPCI_IOMMU 40

/* Formats of a guest's I/O page tables. */
#define VFIO_ZPCI_FORMAT_S390 0 /* anchor is an I/O translation anchor (IOTA) */
#define VFIO_ZPCI_FORMAT_VTD \
	1 /* anchor is the address of a second-level table of VT-d */

/**
 * struct vfio_zpci_register - register a translation anchor (VFIO_ZPCI_REGISTER)
 * @argsz: size of the structure that the caller knows
 * @flags:	VFIO_ZPCI_REGISTER_DIRECT: no table; guest address 0 is at IOVA @pba, and
 *		all memory up to @pal is mapped, now and when it is added. Without it an
 *		s390 anchor whose translation bit is off asks for the same.
 * @fh:		the guest's handle of the function; its first registration makes the
 *		function known, and enables it
 * @fid:	the function's ID, for events
 * @group_fd:	the file of the IOMMU group of the function's device; with our vfio.ko also
 *		that of the device. The device is open, and the group is attached to the
 *		container.
 * @format:	VFIO_ZPCI_FORMAT_*
 * @levels:	of a table of VT-d, 3 to 5; 0 for s390, where the anchor says it
 * @anchor:	the table
 * @pba:	the first IOVA that the guest may use
 * @pal:	the last one; the window is rounded to pages, to the inside
 * @reserved: 0
 *
 * Registers a translation anchor for a function: from now on refreshes follow the table.
 * Nothing is mapped before the first refresh, but for direct mapping.
 *
 * Return: 0, or -1 with errno: EINVAL for a window or an anchor that is not possible, or
 * if the device's IOMMU does not translate all of the window; EBUSY if the function has an
 * anchor or is of another group, or if another function of the same IOMMU group has another
 * anchor, format or window; ENODEV if @group_fd is no such file; ENOSPC if there are too
 * many functions; ENOMEM.
 */
struct vfio_zpci_register {
	__u32 argsz;
	__u32 flags;
#define VFIO_ZPCI_REGISTER_DIRECT (1 << 0)
	__u32 fh;
	__u32 fid;
	__s32 group_fd;
	__u32 format;
	__u32 levels;
	__u32 reserved;
	__u64 anchor;
	__u64 pba;
	__u64 pal;
};
#define VFIO_ZPCI_REGISTER _IO(VFIO_TYPE, VFIO_BASE + 100)

/**
 * struct vfio_zpci_deregister - take an anchor away (VFIO_ZPCI_DEREGISTER)
 * @argsz: size of the structure that the caller knows
 * @flags:	VFIO_ZPCI_DEREGISTER_FORGET: the function is not known any more
 * @fh:		the function's handle
 * @reserved: 0
 *
 * Takes a function's anchor away. All that is mapped for it is unmapped, unless another
 * function of its group has the anchor as well.
 *
 * Return: 0, or -1 with errno: EINVAL without an anchor, unless it is to be forgotten.
 */
struct vfio_zpci_deregister {
	__u32 argsz;
	__u32 flags;
#define VFIO_ZPCI_DEREGISTER_FORGET (1 << 0)
	__u32 fh;
	__u32 reserved;
};
#define VFIO_ZPCI_DEREGISTER _IO(VFIO_TYPE, VFIO_BASE + 101)

/**
 * struct vfio_zpci_state - change the state of a function (VFIO_ZPCI_SET_STATE)
 * @argsz: size of the structure that the caller knows
 * @flags: 0
 * @fh:		the function's handle
 * @state:	VFIO_ZPCI_STATE_*
 *
 * Changes the state of a function. One that becomes disabled loses its anchor, as by
 * VFIO_ZPCI_DEREGISTER, and its pending event. One that becomes enabled keeps its event
 * until it is cleared; while an event is pending, later errors add none.
 *
 * Return: 0, or -1 with errno: EINVAL for another state.
 */
struct vfio_zpci_state {
	__u32 argsz;
	__u32 flags;
	__u32 fh;
	__u32 state;
#define VFIO_ZPCI_STATE_ENABLED		0
#define VFIO_ZPCI_STATE_DISABLED	1
#define VFIO_ZPCI_STATE_ERROR		2
#define VFIO_ZPCI_STATE_PERMANENT_ERROR 3
};
#define VFIO_ZPCI_SET_STATE _IO(VFIO_TYPE, VFIO_BASE + 102)

/* Condition codes of a refresh, and the status that goes with VFIO_ZPCI_CC_ERROR. */
#define VFIO_ZPCI_CC_OK		    0
#define VFIO_ZPCI_CC_ERROR	    1
#define VFIO_ZPCI_CC_BUSY	    2
#define VFIO_ZPCI_CC_INVALID_HANDLE 3

/* The refresh has put the function into the error state; there is an event. */
#define VFIO_ZPCI_STATUS_ERROR 8
/*
 * Resources are exhausted: what is not mapped any more was unmapped, but not all could be
 * mapped. The guest unmaps what it can and refreshes all of its window.
 */
#define VFIO_ZPCI_STATUS_NO_RESOURCES 16
/* The function was in the error state already. */
#define VFIO_ZPCI_STATUS_IN_ERROR 40

/**
 * struct vfio_zpci_refresh - follow the guest's table (VFIO_ZPCI_REFRESH)
 * @argsz: size of the structure that the caller knows
 * @flags: 0
 * @fh:		the function's handle
 * @cc:		returns VFIO_ZPCI_CC_*
 * @status:	returns VFIO_ZPCI_STATUS_*, or 0
 * @start:	where the range begins; pages of which it has a part are refreshed
 * @length:	its bytes; 0 is nothing, and in order
 * @reserved: 0
 *
 * Makes what the device reaches in a range of IOVAs agree with the guest's table.
 *
 * A range outside the function's window, a function without an anchor and an entry of
 * the table that is wrong put the function into the error state, with an event. Pages
 * before the event's address are refreshed, also those of a large frame that leads out of
 * the guest's memory further on.
 *
 * Return: 0 if cc is valid, or -1 with errno: EINTR if the process is being killed.
 */
struct vfio_zpci_refresh {
	__u32 argsz;
	__u32 flags;
	__u32 fh;
	__u32 cc;
	__u32 status;
	__u32 reserved;
	__u64 start;
	__u64 length;
};
#define VFIO_ZPCI_REFRESH _IO(VFIO_TYPE, VFIO_BASE + 103)

struct vfio_zpci_range {
	__u64 start;
	__u64 length;
};

/**
 * struct vfio_zpci_refresh_ranges - refresh several ranges (VFIO_ZPCI_REFRESH_RANGES)
 * @argsz: size of the structure that the caller knows
 * @flags: 0
 * @fh:		the function's handle
 * @cc:		returns VFIO_ZPCI_CC_* of the last range
 * @status:	returns VFIO_ZPCI_STATUS_* of the last range, or 0
 * @count:	how many ranges there are
 * @done:	returns how many ended with VFIO_ZPCI_CC_OK
 * @ranges:	the address of an array of struct vfio_zpci_range
 * @reserved: 0
 *
 * Refreshes several ranges, one after the other, until one ends with another cc than
 * VFIO_ZPCI_CC_OK.
 *
 * Return: as VFIO_ZPCI_REFRESH; also EFAULT, with @done not written.
 */
struct vfio_zpci_refresh_ranges {
	__u32 argsz;
	__u32 flags;
	__u32 fh;
	__u32 cc;
	__u32 status;
	__u32 count;
	__u32 done;
	__u32 reserved;
	__u64 ranges;
};
#define VFIO_ZPCI_REFRESH_RANGES _IO(VFIO_TYPE, VFIO_BASE + 104)

/**
 * struct vfio_zpci_event - a pending error event (VFIO_ZPCI_GET_EVENT)
 * @argsz: size of the structure that the caller knows
 * @flags:	VFIO_ZPCI_EVENT_CLEAR: what is returned is not pending afterwards
 * @fh:		the function's handle
 * @fid:	returns its ID
 * @code:	returns VFIO_ZPCI_EVENT_*, or 0 if no event is pending
 * @address:	returns the IOVA where the refresh stopped
 * @reserved: 0
 *
 * Reads a function's pending error event: the one that put it into the error state.
 */
struct vfio_zpci_event {
	__u32 argsz;
	__u32 flags;
#define VFIO_ZPCI_EVENT_CLEAR (1 << 0)
	__u32 fh;
	__u32 fid;
	__u32 code;
#define VFIO_ZPCI_EVENT_NO_ANCHOR    1 /* no translation anchor is registered */
#define VFIO_ZPCI_EVENT_OUT_OF_RANGE 2 /* the range is not inside the window */
#define VFIO_ZPCI_EVENT_PROTECTION \
	4 /* the guest's memory permits none of the access */
#define VFIO_ZPCI_EVENT_ENTRY \
	7 /* an entry is zero, or leads out of guest memory */
#define VFIO_ZPCI_EVENT_LENGTH 8 /* the length or offset of a region table */
#define VFIO_ZPCI_EVENT_TYPE   9 /* an entry that its table cannot have */
	__u32 reserved;
	__u64 address;
};
#define VFIO_ZPCI_GET_EVENT _IO(VFIO_TYPE, VFIO_BASE + 105)

/**
 * struct vfio_zpci_statistics - counts of a function (VFIO_ZPCI_GET_STATISTICS)
 * @argsz: size of the structure that the caller knows
 * @flags: 0
 * @fh:		the function's handle
 * @state:	returns VFIO_ZPCI_STATE_*
 * @refreshes:	returns how many refreshes there were of the function
 * @errors:	returns how many of them put it into the error state
 * @mapped:	returns how many pages were mapped for its group
 * @unmapped:	returns how many pages were unmapped for it
 * @pages:	returns how many pages are mapped for its group
 * @bytes:	returns the memory that it takes to know them, without the IOMMU's tables
 * @served:	returns how many requests of its doorbell were served where they were signaled,
 *		since it was bound
 * @deferred:	returns how many of them a thread of the kernel served
 */
struct vfio_zpci_statistics {
	__u32 argsz;
	__u32 flags;
	__u32 fh;
	__u32 state;
	__u64 refreshes;
	__u64 errors;
	__u64 mapped;
	__u64 unmapped;
	__u64 pages;
	__u64 bytes;
	__u64 served;
	__u64 deferred;
};
#define VFIO_ZPCI_GET_STATISTICS _IO(VFIO_TYPE, VFIO_BASE + 106)

/* The request of a doorbell has more than VFIO_ZPCI_DOORBELL_RANGES ranges. */
#define VFIO_ZPCI_STATUS_BAD_REQUEST 1

/* How many ranges a request can have. */
#define VFIO_ZPCI_DOORBELL_RANGES 255

/**
 * struct vfio_zpci_doorbell_page - a page of the guest's memory, at a doorbell
 * @request:	written by the guest: bits 0 to 31 a sequence number, from
 *		VFIO_ZPCI_DOORBELL_COUNT_SHIFT on how many ranges there are
 * @completion:	written by the host: bits 0 to 31 the sequence number of the request that
 *		has ended; from VFIO_ZPCI_DOORBELL_CC_SHIFT on 8 bits VFIO_ZPCI_CC_*; from
 *		VFIO_ZPCI_DOORBELL_STATUS_SHIFT on 8 bits VFIO_ZPCI_STATUS_* or 0; from
 *		VFIO_ZPCI_DOORBELL_DONE_SHIFT on 16 bits how many ranges ended with
 *		VFIO_ZPCI_CC_OK
 * @ranges:	written by the guest, as those of VFIO_ZPCI_REFRESH_RANGES
 *
 * All words are of 64 bits and little-endian, whatever the guest's tables are.
 *
 * For a request the guest writes the ranges, then with one store @request, with a sequence
 * number that is not the one in @completion; then it writes to the port or address that
 * signals the eventfd. When @completion has that number, the refresh has ended. That is so
 * when the write to the port returns, if all of these hold: the ranges have 16 pages at most,
 * all of their entries that are valid now were not mapped, those that are not valid were not
 * either, and nobody else uses the function or its guest's memory at that moment. Otherwise
 * the guest waits until the word changes. The guest changes neither @request nor the ranges
 * that it names before.
 *
 * The host reads each word once, and trusts none: a guest that breaks these rules has ranges
 * refreshed that it has not meant, or is not answered. A page that is not in the guest's
 * memory, or not mapped VFIO_DMA_MAP_FLAG_WRITE, is not read and not written.
 */
struct vfio_zpci_doorbell_page {
	__u64 request;
#define VFIO_ZPCI_DOORBELL_COUNT_SHIFT 32
	__u64 completion;
#define VFIO_ZPCI_DOORBELL_CC_SHIFT	32
#define VFIO_ZPCI_DOORBELL_STATUS_SHIFT 40
#define VFIO_ZPCI_DOORBELL_DONE_SHIFT	48
	struct vfio_zpci_range ranges[VFIO_ZPCI_DOORBELL_RANGES];
};

/**
 * struct vfio_zpci_doorbell - bind a doorbell (VFIO_ZPCI_SET_DOORBELL)
 * @argsz: size of the structure that the caller knows
 * @flags: 0
 * @fh:		the function's handle
 * @eventfd:	an eventfd, which KVM signals (KVM_IOEVENTFD), or -1 to take the doorbell away
 * @page:	the guest address of a struct vfio_zpci_doorbell_page; a multiple of 4096. For
 *		@eventfd -1 it has no meaning.
 *
 * From now on, when the eventfd is signaled, the request in the page is served, as by
 * VFIO_ZPCI_REFRESH_RANGES: in the thread that signals it, or else by a thread of the kernel.
 * A request that is there already is served at once only if the eventfd has been signaled.
 * The doorbell is there until it is taken away, the function is forgotten, or the eventfd or the
 * container is closed: a VMM keeps the eventfd open. Taking it away waits for a request that
 * is being served. An eventfd may ring several doorbells; each looks into its own page.
 *
 * The host writes to the page without the VMM: a VMM that migrates its guest counts it as
 * written as long as the doorbell is there.
 *
 * Return: 0, or -1 with errno: EBADF if @eventfd is no descriptor; EINVAL if it is none of an
 * eventfd, if @page is no multiple, or if there is no doorbell to take away; EBUSY if the
 * function has a doorbell; ENOSPC if the guest has too many; ENOMEM.
 */
struct vfio_zpci_doorbell {
	__u32 argsz;
	__u32 flags;
	__u32 fh;
	__s32 eventfd;
	__u64 page;
};
#define VFIO_ZPCI_SET_DOORBELL _IO(VFIO_TYPE, VFIO_BASE + 107)

#endif
