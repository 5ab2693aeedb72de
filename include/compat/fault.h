/* SPDX-License-Identifier: GPL-2.0 */
/* Page faults of a device's maps, with the newest kernel's interface. */
#ifndef COMPAT_FAULT_H
#define COMPAT_FAULT_H

#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/version.h>

/*
 * Lets a driver serve a fault after its pages may have been taken out of the page table by others,
 * by unmap_mapping_range(). From 6.10 on drivers expect that. Before 6.10 vfio-pci takes note of
 * each map that it has filled, and leaves it as it is on further faults, which would then come for
 * ever. It forgets the note of a map that is closed, and empties one that is opened. So it is told
 * of both, as if a child had been forked and had ended. @serving, a lock of the maps of one device,
 * keeps another thread from filling the map in between.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline bool compat_fault_filled(const struct vm_fault *fault)
{
	spinlock_t *lock;
	pte_t *pte;

	if (follow_pte(fault->vma->vm_mm, fault->address, &pte, &lock))
		return false;
	__acquire(lock); /* for sparse, which follow_pte() does not tell */
	pte_unmap_unlock(pte, lock);
	return true;
}

/*
 * Before 6.10 vfio-pci fills a map by remap_pfn_range(), and x86 then notes in the map that its memory
 * type is registered. Whoever unmaps such a map looks up its first page, and warns if that is not
 * there: unmap_mapping_range() does so for a map that fork() has not copied yet, or that munmap()
 * has emptied. Maps of later kernels' vfio-pci have no such note, and these are made like them.
 */
static inline void compat_forget_memory_type(struct vm_area_struct *vma)
{
#ifdef VM_PAT
	unsigned long pfn;

	if (!(vma->vm_flags & VM_PAT) || follow_pfn(vma, vma->vm_start, &pfn))
		return;
	/* Memory has its type noted elsewhere. */
	if (!page_is_ram(pfn))
		arch_io_free_memtype_wc(PFN_PHYS(pfn),
					vma->vm_end - vma->vm_start);
	vma->vm_flags &= ~VM_PAT;
#endif
}

static inline vm_fault_t
compat_driver_fault(const struct vm_operations_struct *driver,
		    struct mutex *serving, struct vm_fault *fault)
{
	vm_fault_t ret;

	mutex_lock(serving);
	ret = driver->fault(fault);
	if (ret == VM_FAULT_NOPAGE && driver->open && driver->close &&
	    !compat_fault_filled(fault)) {
		driver->open(fault->vma);
		driver->close(fault->vma);
		ret = driver->fault(fault);
	}
	compat_forget_memory_type(fault->vma);
	mutex_unlock(serving);
	return ret;
}
#else
static inline vm_fault_t
compat_driver_fault(const struct vm_operations_struct *driver,
		    struct mutex *serving, struct vm_fault *fault)
{
	return driver->fault(fault);
}
#endif

/*
 * Faults of huge pages. Before 6.6 their size was an enum. Only these may come with the lock of
 * the map instead of that of the address space, from 6.6 on; VM_FAULT_FALLBACK then brings
 * the fault back without it, as one of a small page.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
typedef enum page_entry_size compat_fault_order;
#else
typedef unsigned int compat_fault_order;
#endif

#endif
