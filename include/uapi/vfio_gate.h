/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Gated devices, as userspace sees them: a driver in the kernel, the scheduler, switches a
 * device on and off (vfio_cxx/gate.h). The ioctls are for the device's file. They are ENOTTY for
 * a device that has no scheduler and never had one.
 *
 * While a device is blocked, whoever touches its register windows sleeps until it opens. So do
 * read(), write() and the ioctls of the device, but those that only describe it (GET_INFO,
 * GET_REGION_INFO, GET_IRQ_INFO). With O_NONBLOCK they are EAGAIN, and poll() tells when they
 * would not wait. A signal ends the wait; but where the kernel itself touches a register window,
 * as KVM does for a vCPU, only a fatal one does.
 *
 * VFIO_DEVICE_PCI_HOT_RESET is EBUSY while another device that it resets is blocked, whichever device
 * it is called on. Interrupts arrive while the device is blocked, or when it opens, as the scheduler
 * says.
 *
 * A device that has been blocked for longer than its limit fails accesses instead, until it opens:
 * SIGBUS, or ETIMEDOUT. One that is being taken away from VFIO while it is blocked does so at
 * once: SIGBUS, or ENODEV.
 */
#ifndef UAPI_VFIO_GATE_H
#define UAPI_VFIO_GATE_H

#include <linux/types.h>
#include <linux/vfio.h>

/* The states of a gated device. */
enum vfio_gate_state {
	/* Like a device without a scheduler. */
	VFIO_GATE_OPEN = 0,
	/* Register windows cannot be touched (SIGBUS); read(), write(), ioctls and DMA work. */
	VFIO_GATE_TRAPPED = 1,
	/* Accesses wait, and no DMA of the device reaches memory. */
	VFIO_GATE_BLOCKED = 2,
	/*
	 * As VFIO_GATE_BLOCKED, but a read(), write() or ioctl of userspace that began before has
	 * not ended, and may still reach the device.
	 */
	VFIO_GATE_BLOCKING = 3,
	/*
	 * The device was blocked when it was taken away from VFIO; or its scheduler has gone, and
	 * the IOMMU does not give it its DMA back until its last file is closed. Accesses fail.
	 */
	VFIO_GATE_GONE = 4,
};

/**
 * struct vfio_device_gate_info - a device's state (VFIO_DEVICE_GATE_INFO)
 * @argsz: size of the structure that the caller knows; smaller than it is is EINVAL
 * @flags:	out: VFIO_DEVICE_GATE_SCHEDULED, there is a scheduler at present;
 *		VFIO_DEVICE_GATE_USER_SWITCHES, it lets everyone switch who has the device's file
 * @state:	out: one of enum vfio_gate_state
 * @limit_ms:	out: how long accesses wait at most, milliseconds; 0 is for ever
 * @waiting:	out: how many threads wait now
 * @timeouts:	out: how many accesses have failed because of the limit; this and what follows counts
 *		from when the scheduler registered
 * @blocks:	out: how often the device was blocked
 * @undrained:	out: how often the scheduler said, when it was to be blocked, that some of its
 *		DMA was not over: that was cut off
 * @blocked_ns:	out: for how long it has been blocked, nanoseconds, in all
 *
 * Return: 0, or -1 with errno: EINVAL, EFAULT.
 */
struct vfio_device_gate_info {
	__u32 argsz;
	__u32 flags;
#define VFIO_DEVICE_GATE_SCHEDULED     (1 << 0)
#define VFIO_DEVICE_GATE_USER_SWITCHES (1 << 1)
	__u32 state;
	__u32 limit_ms;
	__u32 waiting;
	__u32 timeouts;
	__u64 blocks;
	__u64 undrained;
	__u64 blocked_ns;
};
#define VFIO_DEVICE_GATE_INFO _IO(VFIO_TYPE, VFIO_BASE + 142)

/**
 * struct vfio_device_gate_set - switch a device, or set its limit (VFIO_DEVICE_GATE_SET)
 * @argsz: size of the structure that the caller knows; smaller than it is is EINVAL
 * @flags:	what to set: VFIO_DEVICE_GATE_SET_STATE, VFIO_DEVICE_GATE_SET_LIMIT, or both: then
 *		the limit comes first
 * @state:	VFIO_GATE_OPEN, VFIO_GATE_TRAPPED or VFIO_GATE_BLOCKED
 * @deadline_us: microseconds that accesses which have begun, and then the device's DMA, are given
 *		to end before they are cut off; VFIO_DEVICE_GATE_MAX_DEADLINE_US at most
 * @limit_ms:	as in struct vfio_device_gate_info
 *
 * Does what the scheduler can do, and calls the scheduler's hooks. It needs CAP_SYS_ADMIN, or a
 * scheduler that lets everyone switch who has the device's file.
 *
 * Return: 0, or -1 with errno: EPERM; EINVAL for other flags, states and deadlines; EFAULT; and those of
 * vfio_gate_block(), vfio_gate_trap() and vfio_gate_open().
 */
struct vfio_device_gate_set {
	__u32 argsz;
	__u32 flags;
#define VFIO_DEVICE_GATE_SET_STATE (1 << 0)
#define VFIO_DEVICE_GATE_SET_LIMIT (1 << 1)
	__u32 state;
	__u32 deadline_us;
#define VFIO_DEVICE_GATE_MAX_DEADLINE_US 1000000
	__u32 limit_ms;
};
#define VFIO_DEVICE_GATE_SET _IO(VFIO_TYPE, VFIO_BASE + 143)

/**
 * struct vfio_device_gate_event - be told when a device is trapped (VFIO_DEVICE_GATE_EVENT)
 * @argsz: size of the structure that the caller knows; smaller than it is is EINVAL
 * @flags:	none, to ask only; VFIO_DEVICE_GATE_EVENT_SET takes @eventfd in the place of the
 *		device's present one; VFIO_DEVICE_GATE_EVENT_ACK acknowledges @change
 * @eventfd:	an eventfd; -1 is none
 * @change:	in: what is acknowledged; out: the number of what was announced last
 * @state:	out: what was announced: VFIO_GATE_TRAPPED, the register windows go;
 *		VFIO_GATE_OPEN, they have come back
 *
 * A VMM must have no memory slot of KVM over the windows of a trapped device, where a touch ends
 * KVM_RUN with EFAULT. The eventfd is signaled before a device is trapped, which stays open
 * meanwhile, until the change is acknowledged or the scheduler's deadline has passed; and after a
 * device has opened that had been trapped, which wants no acknowledgement. A device that is trapped
 * while it is blocked is opened first. The call never waits for a switch. Changes may be announced
 * faster than they are looked at: what counts is @state. One eventfd a device, until its last file is
 * closed.
 *
 * Return: 0, or -1 with errno: EAGAIN if another change has been announced since @change, so that
 * the caller looks at it first; EBADF, EINVAL, EFAULT.
 */
struct vfio_device_gate_event {
	__u32 argsz;
	__u32 flags;
#define VFIO_DEVICE_GATE_EVENT_SET (1 << 0)
#define VFIO_DEVICE_GATE_EVENT_ACK (1 << 1)
	__s32 eventfd;
	__u32 change;
	__u32 state;
};
#define VFIO_DEVICE_GATE_EVENT _IO(VFIO_TYPE, VFIO_BASE + 144)

#endif
