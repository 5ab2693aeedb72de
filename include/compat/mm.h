/* SPDX-License-Identifier: GPL-2.0 */
/* Memory management, with the newest kernel's interface. */
#ifndef COMPAT_MM_H
#define COMPAT_MM_H

#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/version.h>

/*
 * The struct page after another's. Without a virtual map of memory, sections have arrays of their
 * own; nth_page() knew that before 6.18.
 */
static inline struct page *compat_next_page(struct page *page)
{
#ifdef CONFIG_SPARSEMEM_VMEMMAP
	return page + 1;
#else
	return pfn_to_page(page_to_pfn(page) + 1);
#endif
}

/* Before 6.4 addresses are untagged alike in all address spaces. The caller holds the mmap lock. */
static inline unsigned long compat_untagged_addr(struct mm_struct *mm,
						 unsigned long address)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return untagged_addr(address);
#else
	return untagged_addr_remote(mm, address);
#endif
}

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

/* From 6.12 on an address past the end of the address space is -EOVERFLOW where it was -EFAULT. */
static inline long compat_pin_user_pages_fast(unsigned long start, int npages,
					      unsigned int flags,
					      struct page **pages)
{
	long pinned = pin_user_pages_fast(start, npages, flags, pages);

	return pinned == -EOVERFLOW ? -EFAULT : pinned;
}

/*
 * A long-term pin for reading must pin the pages that the process goes on using. If
 * the process's next write to a page would copy the page, the pin must break
 * copy-on-write first. The kernel does this for all pages from 6.2 on. Before 6.2 it
 * does this for anonymous pages only: if the zero page or a file page of a private
 * mapping is pinned, the pin keeps that page when the process gets a copy.
 *
 * compat_unshare_pinned() makes up for this. It is called after
 * pin_user_pages_fast() or pin_user_pages_remote() with @flags. @pinned is what that
 * function returned: how many pages are pinned from @start on, or an error, which is
 * returned as it is. compat_unshare_pinned() unpins pages that the process's next
 * write would copy, and pins the copies instead. It returns how many pages from the
 * first on are pinned now; the caller calls both functions again for the rest.
 * Shared mappings are left as they are, and not written to. Memory that userfaultfd
 * write-protects cannot be unshared: -EFAULT. The caller of
 * compat_unshare_pinned_locked() holds the mmap lock for reading.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
/* Returns the first index from @from on of a page that is not anonymous. */
static inline long compat_skip_anon(struct page **pages, long from, long pinned)
{
	while (from < pinned && PageAnon(pages[from]))
		from++;
	return from;
}

/*
 * Pins pages of the hugetlb page at @start, to which the process may not write. For
 * this kind of memory alone FOLL_FORCE fails. A fault can unshare the page, but may
 * also return without having done so: the loop ends when the pinned page is anonymous.
 */
static inline long compat_pin_unshared_huge(struct vm_area_struct *vma,
					    unsigned long start, long npages,
					    struct page **pages)
{
	const unsigned int fault = FAULT_FLAG_UNSHARE | FAULT_FLAG_REMOTE;
	unsigned long end = ALIGN(start + 1, vma_kernel_pagesize(vma));
	long ret;

	npages = min_t(long, npages, (end - start) >> PAGE_SHIFT);
	for (;;) {
		ret = fixup_user_fault(vma->vm_mm, start, fault, NULL);
		if (ret)
			return ret;
		ret = compat_pin_user_pages_remote(vma->vm_mm, start, npages,
						   FOLL_LONGTERM, pages);
		if (ret <= 0 || PageAnon(pages[0]))
			return ret;
		unpin_user_pages(pages, ret);
	}
}

/*
 * Pins pages from @start on, at least one. FOLL_FORCE breaks copy-on-write even
 * where the process may not write, as it does for a debugger.
 */
static inline long compat_pin_unshared(struct vm_area_struct *vma,
				       unsigned long start, long npages,
				       struct page **pages)
{
	const unsigned int flags = FOLL_LONGTERM | FOLL_WRITE | FOLL_FORCE;

	if (is_vm_hugetlb_page(vma) && !(vma->vm_flags & VM_WRITE))
		return compat_pin_unshared_huge(vma, start, npages, pages);
	npages = min_t(long, npages, (vma->vm_end - start) >> PAGE_SHIFT);
	return compat_pin_user_pages_remote(vma->vm_mm, start, npages, flags,
					    pages);
}

static inline long compat_unshare_pinned_locked(struct mm_struct *mm,
						unsigned long start,
						long pinned, unsigned int flags,
						struct page **pages)
{
	struct vm_area_struct *vma = NULL;
	long done = 0;

	if (flags & FOLL_WRITE)
		return pinned;
	start = compat_untagged_addr(mm, start);
	for (;;) {
		done = compat_skip_anon(pages, done, pinned);
		if (done >= pinned)
			return pinned;
		vma = vma_lookup(mm, start + (done << PAGE_SHIFT));
		if (!vma || is_cow_mapping(vma->vm_flags))
			break;
		done = (vma->vm_end - start) >> PAGE_SHIFT;
	}
	unpin_user_pages(pages + done, pinned - done);
	if (done)
		return done;
	return vma ? compat_pin_unshared(vma, start, pinned, pages) : -EFAULT;
}

static inline long compat_unshare_pinned(struct mm_struct *mm,
					 unsigned long start, long pinned,
					 unsigned int flags,
					 struct page **pages)
{
	/* Most often all pages are anonymous, and the lock is not needed. */
	if ((flags & FOLL_WRITE) ||
	    compat_skip_anon(pages, 0, pinned) >= pinned)
		return pinned;
	mmap_read_lock(mm);
	pinned = compat_unshare_pinned_locked(mm, start, pinned, flags, pages);
	mmap_read_unlock(mm);
	return pinned;
}
#else
static inline long compat_unshare_pinned_locked(struct mm_struct *mm,
						unsigned long start,
						long pinned, unsigned int flags,
						struct page **pages)
{
	return pinned;
}

static inline long compat_unshare_pinned(struct mm_struct *mm,
					 unsigned long start, long pinned,
					 unsigned int flags,
					 struct page **pages)
{
	return pinned;
}
#endif

/*
 * Looks up the page at @address in a VM_PFNMAP mapping. Stores its pfn, and returns
 * how many pages from it on are contiguous, @npages at most; the mapping must contain
 * @npages pages. Returns -EFAULT if @write is set and the page is read-only, another
 * errno if no page is there yet. The caller holds the mmap lock for reading.
 *
 * Before 6.12 this function reads the entries of one page of the page table, under
 * that page's lock. From 6.12 on it calls follow_pfnmap_start(): before 6.15 for one
 * page, since then for all pages that one entry of the page table maps.
 */
static inline long compat_follow_pfnmap_once(struct vm_area_struct *vma,
					     unsigned long address, long npages,
					     bool write, unsigned long *pfn)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	unsigned long end = ALIGN(address + 1, PMD_SIZE);
	spinlock_t *lock;
	pte_t *first;
	long n = 0;
	int ret = follow_pte(vma->vm_mm, address, &first, &lock);

	if (ret)
		return ret;
	__acquire(lock); /* for sparse, which follow_pte() does not tell */
	*pfn = pte_pfn(*first);
	npages = min_t(long, npages, (end - address) >> PAGE_SHIFT);
	while (n < npages) {
		pte_t pte = READ_ONCE(first[n]);

		if (!pte_present(pte) || pte_pfn(pte) != *pfn + n ||
		    (write && !pte_write(pte)))
			break;
		n++;
	}
	pte_unmap_unlock(first, lock);
	return n ?: -EFAULT;
#else
	struct follow_pfnmap_args args = { .vma = vma, .address = address };
	long n = 1;
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	*pfn = args.pfn;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
	n = min_t(long, npages,
		  ((address | ~args.addr_mask) + 1 - address) >> PAGE_SHIFT);
#endif
	if (write && !args.writable)
		n = -EFAULT;
	follow_pfnmap_end(&args);
	return n;
#endif
}

/*
 * Does what compat_follow_pfnmap_once() does across adjacent mappings, and faults in
 * pages that are not there yet, for which the mmap lock may be released and taken
 * again. Returns how many pages are contiguous; or, if there is no first page,
 * -EFAULT or the error of the fault.
 */
static inline long compat_follow_pfnmap(struct mm_struct *mm,
					unsigned long start, long npages,
					bool write, unsigned long *pfn)
{
	unsigned int flags = FAULT_FLAG_REMOTE | (write ? FAULT_FLAG_WRITE : 0);
	bool faulted = false;
	long done = 0;

	while (done < npages) {
		unsigned long address = start + (done << PAGE_SHIFT);
		struct vm_area_struct *vma = vma_lookup(mm, address);
		bool unlocked = false;
		unsigned long found;
		long n;

		if (!vma || !(vma->vm_flags & VM_PFNMAP))
			return done ?: -EFAULT;
		n = min_t(long, npages - done,
			  (vma->vm_end - address) >> PAGE_SHIFT);
		n = compat_follow_pfnmap_once(vma, address, n, write, &found);
		if (n > 0) {
			if (!done)
				*pfn = found;
			if (found != *pfn + done)
				return done;
			done += n;
			faulted = false;
			continue;
		}
		if (n == -EFAULT || faulted)
			return done ?: n;
		n = fixup_user_fault(mm, address, flags, &unlocked);
		if (n)
			return done ?: n;
		/* If the lock was released, the page may need another fault. */
		faulted = !unlocked;
	}
	return done;
}

#endif
