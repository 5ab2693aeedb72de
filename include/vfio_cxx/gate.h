/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gate of a device: what vfio.ko offers to a driver that switches devices on and off, the
 * scheduler. An example is the driver of the physical function of an SR-IOV card on which one
 * virtual function is active at a time: it opens one and blocks the others, every few
 * milliseconds. The virtual functions are bound to vfio-pci, and neither their users nor vfio-pci
 * take part. Documentation/gate.md shows the states and a complete scheduler; uapi/vfio_gate.h
 * says what users of the device see.
 *
 * All functions may sleep, and may not be called with a lock held that a hook of the scheduler or
 * a user of the device needs; none waits for userspace for longer than its deadline. Switches
 * of one device come one after the other. They take a constant time but for what is said below.
 */
#ifndef VFIO_CXX_GATE_H
#define VFIO_CXX_GATE_H

#ifdef __cplusplus /* the core of vfio.ko, which defines them */
#include "shim/base.h"
#else
#include <linux/types.h>
#endif
#include "uapi/vfio_gate.h"
#include "vfio_cxx/remap.h"

struct device;
struct vfio_gate;

/**
 * struct vfio_gate_ops - the hooks of a scheduler; each may be NULL
 * @before_open: called before a blocked device is let loose: before its DMA reaches memory and
 *	 accesses go on. Returns 0 or a negative errno, with which the device stays blocked
 * @quiesce: called when a device is being blocked, and no access reaches it any more, but before
 *	 its DMA is cut off. Waits for @deadline_us microseconds at most until the device does no
 *	 DMA. Returns 0, or a negative errno if it may still do some, which is then cut off and
 *	 counted
 * @user_may_switch: whether VFIO_DEVICE_GATE_SET needs no CAP_SYS_ADMIN
 * @hold_interrupts: whether interrupts of a blocked device are held back until it opens: those that
 *	 come meanwhile arrive then, one for each vector. Else they are let through. Only for PCI
 *	 functions: those of a mediated device are its parent's, whose driver decides
 *
 * A hook may sleep. The device's switches wait for it, and so does the last close of the device
 * and its unbinding; so a hook may not call functions of this file for the same device, nor wait
 * for its close.
 */
struct vfio_gate_ops {
	int (*before_open)(void *data);
	int (*quiesce)(void *data, unsigned int deadline_us);
	bool user_may_switch;
	bool hold_interrupts;
};

/**
 * vfio_gate_register() - become the scheduler of a device
 * @dev: the device of the bus, such as &pci_dev->dev, bound to a driver of VFIO
 * @ops: the hooks, which outlive the registration
 * @data: their argument
 *
 * The device is VFIO_GATE_OPEN afterwards.
 *
 * Return: the gate; or ERR_PTR of -ENODEV if VFIO does not have the device; -EBUSY if it has a
 * scheduler, or is open and never had one; -EOPNOTSUPP for @hold_interrupts of a device that is no
 * PCI function; -ENOMEM.
 */
struct vfio_gate *vfio_gate_register(struct device *dev,
				     const struct vfio_gate_ops *ops,
				     void *data);

/**
 * vfio_gate_unregister() - stop to be a device's scheduler
 * @gate: the gate, which the caller may not use any more; also after the device has gone
 *
 * Opens the device without calling @before_open. Hooks are not called any more when this
 * returns. If the IOMMU cannot be given the device's DMA back, accesses to it fail from now on.
 */
void vfio_gate_unregister(struct vfio_gate *gate);

/**
 * vfio_gate_block() - block a device
 * @gate: the gate
 * @deadline_us: how many microseconds accesses that have begun get to end, and then the quiesce
 *		 hook
 *
 * When this returns 0, the register windows are in no address space and no guest any more, no
 * access reaches the device, nor does DMA of others (but see Documentation/gate.md, "Not there"),
 * and none of its DMA reaches memory: the IOMMU refuses it. What is mapped for DMA stays mapped and
 * pinned, and can be mapped and unmapped meanwhile. If the scheduler holds interrupts, none arrives
 * any more. Does nothing for a blocked device. Takes time also for each page of the windows that
 * was touched since the device opened, in each address space; for a page fault whose page the
 * driver is mapping right then, which is waited for beyond the deadline, a second at most; and for the
 * work of the IOMMU in the container's domain that is under way right then, such as unmapping a
 * mapping, however large, or what a guest of vfio_zpci can no longer reach. vfio_gate_open() waits for
 * that, too.
 *
 * Return: 0; -ETIMEDOUT if a read(), write() or ioctl is still under way, such as one that
 * waits for userfaultfd: all is as above but for that one, the state is VFIO_GATE_BLOCKING, and
 * the caller may block again to wait for it, or open; -ENODEV if the device is being taken away
 * from VFIO. If the state has not changed: -EOPNOTSUPP if the IOMMU driver of the device's
 * container cannot do it; -EBUSY if another device in its IOMMU group is in use and is not blocked;
 * errors of the IOMMU.
 */
int vfio_gate_block(struct vfio_gate *gate, unsigned int deadline_us);

/**
 * vfio_gate_trap() - take the register windows away, and leave all else
 * @gate: the gate
 * @deadline_us: as for vfio_gate_block()
 *
 * When this returns 0, the register windows are in no address space any more, and touching them is
 * SIGBUS; nor do other devices reach them by DMA. read(), write(), ioctls and DMA of the device work. A
 * blocked device is opened so far, and the before_open hook called. If a user is to be told
 * (VFIO_DEVICE_GATE_EVENT), the device is open until that acknowledges, or for @deadline_us more.
 * Calls that have begun may go on.
 *
 * Return: 0; -ETIMEDOUT if a page fault whose page the driver is mapping
 * has not ended a second after the deadline: the device is as it was; -ENODEV; errors of vfio_gate_open().
 */
int vfio_gate_trap(struct vfio_gate *gate, unsigned int deadline_us);

/**
 * vfio_gate_open() - open a device
 * @gate: the gate
 *
 * When this returns 0, DMA reaches memory, interrupts that were held arrive, and all who waited go on.
 * Does nothing for an open device.
 *
 * Return: 0; -ENODEV if the device is being taken away from VFIO; and if the device is as it
 * was before: the error of @before_open, or of the IOMMU.
 */
int vfio_gate_open(struct vfio_gate *gate);

/**
 * vfio_gate_switch() - block one device and open another, as one step
 * @from: the device to block
 * @to: the device to open; not @from
 * @deadline_us: as for vfio_gate_block()
 *
 * Other switches of either see both done or none. If one fails, @from is opened again, and
 * @to is as it was.
 *
 * Return: 0; -EINVAL if both are the same; errors of vfio_gate_block(@from), and of
 * vfio_gate_open(@to).
 */
int vfio_gate_switch(struct vfio_gate *from, struct vfio_gate *to,
		     unsigned int deadline_us);

/**
 * vfio_gate_remap() - let DMA reach other pages at addresses that a user has mapped
 * @gate: the gate of a device that is open by a user, in any state
 * @pages: the addresses, and for each what DMA is to reach there; cheapest if they ascend, page by
 *	 page
 * @count: how many; 1 at least
 *
 * Takes each address out of the I/O page table and maps the page there, with the access that the
 * user has given to the address. The IOMMU is not flushed: until vfio_gate_flush() returns, DMA may
 * reach either page, or be refused. In between there is nothing at the address, so DMA that is under
 * way there meanwhile is refused; and not only there if the address lies in a larger run of
 * contiguous memory, all of which is taken out, and mapped again around it, when its first page is
 * remapped. So a scheduler remaps while the device is blocked, or idle.
 *
 * All devices that share the user's mappings (the groups of the container) reach the new page.
 * Users see none of this: what is mapped and unmapped, dirty pages, and the memory that the CPU sees
 * at the user's addresses are as before. MAP_DMA and UNMAP_DMA go on meanwhile.
 *
 * The page that the user has mapped stays pinned until the user unmaps it, so it can be put back at
 * any time (VFIO_REMAP_USERS_PAGE). Other pages belong to the caller: memory that it has allocated
 * or pinned itself, or frames of a device's window. It keeps each until nothing reaches it any more:
 * another page has been put in its place and vfio_gate_flush() has returned; or the user has
 * unmapped the address, which flushes, so that remapping it is -EINVAL; or vfio_gate_unregister() has
 * returned. That, and the last close of the device, put all users' pages of the container back, also
 * where the scheduler of another device there has remapped them. Frames of the window of a gated PCI
 * function that is not open are reached when it opens, as if MAP_DMA had mapped them.
 *
 * The first page of a mapping that is remapped takes memory, 16 bytes for each page of the mapping,
 * and a lock of the container, for which it does not wait: -EAGAIN. Later ones wait for no user.
 *
 * Context: may sleep; not in a hook.
 * Return: how many pages are remapped, from the first on: fewer than @count if an error
 * followed. If it is none: -EINVAL if an address is not that of a page, no user has mapped it, or
 * the device is not open by a user; -EAGAIN if a user maps or unmaps right now, or a group joins;
 * -EOPNOTSUPP if the IOMMU driver of the device's container cannot do it, or the device is
 * mediated; -ENODEV if the device is being taken away from VFIO; -ENOMEM, and errors of the IOMMU
 * while mapping. What was at the address is there then; only if the IOMMU has no memory for
 * that either, DMA is refused there until the address is remapped.
 */
int vfio_gate_remap(struct vfio_gate *gate, const struct vfio_remap_page *pages,
		    unsigned int count);

/**
 * vfio_gate_flush() - let no DMA reach pages that vfio_gate_remap() has replaced
 * @gate: the gate
 *
 * One flush of each of the container's IOMMUs, or none if nothing was replaced since the last one.
 *
 * Context: may sleep; not in a hook.
 * Return: 0; -EINVAL, -EOPNOTSUPP, -ENODEV as for vfio_gate_remap().
 */
int vfio_gate_flush(struct vfio_gate *gate);

/**
 * vfio_gate_get_state() - the state of a device
 * @gate: the gate
 *
 * Context: any. The state may change at any time, unless the caller alone switches.
 * Return: one of enum vfio_gate_state.
 */
unsigned int vfio_gate_get_state(const struct vfio_gate *gate);

/**
 * vfio_gate_set_limit() - how long accesses wait for a blocked device
 * @gate: the gate
 * @limit_ms: milliseconds from when it was blocked, after which accesses fail until it opens;
 *	      0 is for ever. It is 10000 at first
 */
void vfio_gate_set_limit(struct vfio_gate *gate, unsigned int limit_ms);

#endif
