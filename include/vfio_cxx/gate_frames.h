/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames of gated devices' register windows that IOMMU drivers have mapped for the DMA of other
 * devices: vfio.ko tells a driver when such frames are to be taken out of its domains, and when they
 * may be put back. The kernel's own vfio.ko does not have this: callers that load there as well
 * find vfio_gate_listen() by symbol_get().
 */
#ifndef VFIO_CXX_GATE_FRAMES_H
#define VFIO_CXX_GATE_FRAMES_H

#include "shim/base.h"

struct vm_area_struct;

SHIM_BEGIN

/**
 * vfio_gate_map_frames() - find frames of a window whose device is not open
 * @vma: any map
 * @address: an address in it
 * @npages: how many pages are wanted; the map has as many from @address on
 * @pfn: where to put the first frame
 *
 * A window is in no page table then, and a fault would wait. Its frames are known if vfio-pci has made
 * the map. They are shut (frames_shut), and may be reached when the device opens.
 *
 * Context: any; the caller holds the lock of the address space.
 * Return: how many frames follow each other; 0 if the device is open, so that a fault is served; -EFAULT
 * for any other map, and if the device is being taken away from VFIO.
 */
long vfio_gate_map_frames(const struct vm_area_struct *vma,
			  unsigned long address, unsigned long npages,
			  unsigned long *pfn);

/**
 * struct vfio_gate_listener - who is told of frames, and what it may call
 * @frames_shut: whether one of @npages frames from @pfn on is a window's whose device is not open.
 *	 The answer may change at any time, but not while @changed runs. Takes a lock that is
 *	 innermost
 * @unlisten: ends it: @changed is not called any more when this returns, and the listener is freed.
 *	 Called without a lock that @changed takes
 */
struct vfio_gate_listener {
	bool (*frames_shut)(u64 pfn, u64 npages);
	void (*unlisten)(struct vfio_gate_listener *listener);
};

/**
 * vfio_gate_listen() - be told of frames from now on
 * @changed: called when the answers of frames_shut() have changed. When it returns 0, no device
 *	 reaches frames that are shut, and the others are mapped again. It does not fail for frames
 *	 that are to be taken out; if others cannot be mapped it returns a negative errno, is
 *	 called once more, with the answers as they were before, and the device that was to open
 *	 stays as it is. May sleep, but waits for no user
 * @data: its argument
 *
 * Context: may sleep; without a lock that @changed takes.
 * Return: the listener, or NULL if there is no memory.
 */
struct vfio_gate_listener *vfio_gate_listen(int (*changed)(void *data),
					    void *data);

SHIM_END

#endif
