/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pinning: holding user pages in place while a device may reach them.
 *
 * A pin names a page by its pfn, with marks in the upper bits for pages that
 * are not ordinary memory. What to do about those is the core's business.
 */
#ifndef SHIM_PIN_H
#define SHIM_PIN_H

#include "base.h"

struct mm_struct;
struct page;

/* The page has no memory of its own to account: reserved by the kernel. */
#define SHIM_PIN_RESERVED (1ULL << 63)
/* The page of zeroes that all processes share. */
#define SHIM_PIN_ZERO (1ULL << 62)
#define SHIM_PIN_PFN_MASK (SHIM_PIN_ZERO - 1)

SHIM_BEGIN

/**
 * shim_pin_user() - pin user pages for a long time
 * @mm: a live address space
 * @uva: page aligned user address
 * @npages: how many
 * @write: whether they will be written; breaks copy-on-write now
 * @pins: room for @npages; filled with pfns and their marks
 *
 * Context: may sleep, takes the mmap lock.
 * Return: how many were pinned, from the first on, at least one; or -EFAULT,
 * -ENOMEM, -EINTR and what else faulting can give.
 */
long shim_pin_user(struct mm_struct *mm, u64 uva, u64 npages, bool write,
		   u64 *pins);

/**
 * shim_follow_pfn() - look up a page of a mapping that has no struct pages
 * @mm: a live address space
 * @uva: page aligned user address
 * @write: whether it will be written
 * @pfn: where to put what was found, with its marks
 *
 * For VM_PFNMAP mappings: a device's BAR, say. Faults the page in if need be;
 * takes no reference.
 *
 * Context: may sleep, takes the mmap lock.
 * Return: 0, or -EFAULT if there is no such mapping or it is read-only.
 */
int shim_follow_pfn(struct mm_struct *mm, u64 uva, bool write, u64 *pfn);

/**
 * shim_unpin() - let go of pinned pages
 * @pfn: the first
 * @npages: how many, contiguous
 * @dirty: mark them dirty
 *
 * Context: may sleep.
 */
void shim_unpin(u64 pfn, u64 npages, bool dirty);

/**
 * shim_pfn_has_page() - whether a pfn is memory that has a struct page
 * @pfn: the pfn
 */
bool shim_pfn_has_page(u64 pfn);

/**
 * shim_page_store() - write a page into a driver's array
 * @pages: the array of struct page pointers
 * @index: where
 * @pfn: a pfn that has a page
 */
void shim_page_store(struct page **pages, u32 index, u64 pfn);

/**
 * shim_page_clear() - write NULL into a driver's array
 * @pages: the array
 * @index: where
 */
void shim_page_clear(struct page **pages, u32 index);

SHIM_END

#endif
