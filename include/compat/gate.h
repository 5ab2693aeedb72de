/* SPDX-License-Identifier: GPL-2.0 */
/* Windows of gated devices, if vfio.ko is ours. */
#ifndef COMPAT_GATE_H
#define COMPAT_GATE_H

#include <linux/mm.h>
#include <linux/module.h>

#include "compat/mm.h"
#include "vfio_cxx/gate_frames.h"

/* vfio_gate_map_frames(), for the map at an address. */
static inline long compat_closed_window(struct mm_struct *mm,
					unsigned long address, long npages,
					bool write, unsigned long *pfn)
{
	typeof(&vfio_gate_map_frames) ours = symbol_get(vfio_gate_map_frames);
	struct vm_area_struct *vma = vma_lookup(mm, address);
	long found = -EFAULT;

	if (!ours)
		return found;
	if (vma && (vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		found = ours(vma, address,
			     min_t(long, npages,
				   (vma->vm_end - address) >> PAGE_SHIFT),
			     pfn);
	symbol_put(vfio_gate_map_frames);
	return found;
}

/*
 * Does what compat_follow_pfnmap() does, but for the windows of a device that its scheduler has closed:
 * a fault there would wait, with locks that others need, and is refused.
 */
static inline long compat_follow_window(struct mm_struct *mm,
					unsigned long address, long npages,
					bool write, unsigned long *pfn)
{
	long found = compat_follow_pfnmap(mm, address, npages, write, pfn);
	long closed;

	if (found >= 0)
		return found;
	closed = compat_closed_window(mm, address, npages, write, pfn);
	if (closed > 0)
		return closed;
	/* It has opened since. */
	return closed ? found :
			compat_follow_pfnmap(mm, address, npages, write, pfn);
}

#endif
