/* SPDX-License-Identifier: GPL-2.0 */
/* Memory management, in the newest kernel's shape. */
#ifndef COMPAT_MM_H
#define COMPAT_MM_H

#include <linux/mm.h>
#include <linux/version.h>

/* Before 6.5 pin_user_pages_remote() could also return the VMAs. */
static inline long compat_pin_user_pages_remote(struct mm_struct *mm,
						unsigned long start,
						unsigned long npages,
						unsigned int flags,
						struct page **pages)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return pin_user_pages_remote(mm, start, npages, flags, pages, NULL,
				     NULL);
#else
	return pin_user_pages_remote(mm, start, npages, flags, pages, NULL);
#endif
}

/*
 * What a VM_PFNMAP mapping has at an address: from 6.12 on
 * follow_pfnmap_start(), before that the PTE itself. Called with the mmap
 * lock held for reading, which a fault may drop and take again.
 */
static inline int compat_follow_pfnmap_once(struct vm_area_struct *vma,
					    unsigned long address, bool write,
					    unsigned long *pfn)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	spinlock_t *lock;
	pte_t *pte;
	int ret = follow_pte(vma->vm_mm, address, &pte, &lock);

	if (ret)
		return ret;
	__acquire(lock); /* for sparse, which follow_pte() does not tell */
	if (write && !pte_write(*pte))
		ret = -EFAULT;
	else
		*pfn = pte_pfn(*pte);
	pte_unmap_unlock(pte, lock);
	return ret;
#else
	struct follow_pfnmap_args args = { .vma = vma, .address = address };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	if (write && !args.writable)
		ret = -EFAULT;
	else
		*pfn = args.pfn;
	follow_pfnmap_end(&args);
	return ret;
#endif
}

static inline int compat_follow_pfnmap(struct mm_struct *mm,
				       unsigned long address, bool write,
				       unsigned long *pfn)
{
	unsigned int flags = FAULT_FLAG_REMOTE | (write ? FAULT_FLAG_WRITE : 0);
	bool faulted = false;

	for (;;) {
		struct vm_area_struct *vma = vma_lookup(mm, address);
		bool unlocked = false;
		int ret;

		if (!vma || !(vma->vm_flags & VM_PFNMAP))
			return -EFAULT;
		ret = compat_follow_pfnmap_once(vma, address, write, pfn);
		if (!ret || ret == -EFAULT || faulted)
			return ret;
		ret = fixup_user_fault(mm, address, flags, &unlocked);
		if (ret)
			return ret;
		/* Without the lock the mapping may have gone: start over. */
		faulted = !unlocked;
	}
}

#endif
