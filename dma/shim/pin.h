/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pinning: holding user pages in place while a device may reach them.
 *
 * Pinning returns page handles, which are struct page pointers, as drivers use
 * them. shim_page_run() turns the handles of contiguous memory into a run, that is,
 * a first pfn and a count; shim_page_pfns() returns the pfn of each. Upper bits of
 * a pfn mark what is not ordinary memory.
 */
#ifndef SHIM_PIN_H
#define SHIM_PIN_H

#include "shim/base.h"

struct mm_struct;
struct page;

/* The kernel has reserved the page: the zero page, for example. */
#define SHIM_PIN_RESERVED (1ULL << 63)
#define SHIM_PIN_PFN_MASK ((1ULL << 62) - 1)

SHIM_BEGIN

/**
 * shim_pin_own() - pin pages of the caller for a long time
 * @uva: page aligned user address
 * @npages: how many, at least one
 * @write: whether they will be written
 * @pages: room for @npages handles
 *
 * Copy-on-write is broken now, for reading too, so that the pages stay the
 * process's own when it writes to them later. This makes no shared memory dirty.
 *
 * Context: may sleep, takes the mmap lock.
 * Return: how many were pinned, from the first on, at least one; or -EFAULT,
 * -ENOMEM, -EINTR and other errors of faulting.
 */
long shim_pin_own(u64 uva, u64 npages, bool write, u64 *pages);

/**
 * shim_pin_remote() - the same in any address space
 * @mm: a live address space
 * @uva: page aligned user address
 * @npages: how many
 * @write: whether they will be written
 * @pages: room for @npages handles
 *
 * Context: as shim_pin_own().
 * Return: as shim_pin_own().
 */
long shim_pin_remote(struct mm_struct *mm, u64 uva, u64 npages, bool write,
		     u64 *pages);

/**
 * shim_page_run() - the contiguous pages at the front of an array
 * @pages: handles of pinned pages
 * @count: how many, at least one
 * @pfn: where to put the pfn of the first page, with the marks of all of them
 *
 * Context: any.
 * Return: how many pages are contiguous and have the same marks, at least one.
 */
u64 shim_page_run(const u64 *pages, u64 count, u64 *pfn);

/**
 * shim_page_pfns() - replace handles of pinned pages by their pfns
 * @pages: the handles, which become pfns with their marks
 * @count: how many
 *
 * Context: any.
 * Return: how many of the pages have a mark.
 */
u64 shim_page_pfns(u64 *pages, u64 count);

/**
 * shim_follow_pfns() - look up pages of mappings that have no struct pages
 * @mm: a live address space
 * @uva: page aligned user address
 * @npages: how many at most, at least one
 * @write: whether they will be written
 * @pfn: where to put the pfn of the first page, with the marks of all of them
 *
 * For VM_PFNMAP mappings: a device's BAR, say. Faults pages in if need be, but
 * where that would wait for a gated device (vfio_cxx/gate.h), whose frames are
 * known; takes no reference. The mmap lock is held for all of it.
 *
 * Context: may sleep, takes the mmap lock.
 * Return: how many pages are contiguous and have the same marks, from the first
 * on; or -EFAULT if there is no such mapping at @uva or it is read-only, or
 * another error of faulting.
 */
long shim_follow_pfns(struct mm_struct *mm, u64 uva, u64 npages, bool write,
		      u64 *pfn);

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
 * shim_page_memory() - where the kernel has a page
 * @pfn: the pfn of memory with a struct page, which is pinned
 *
 * Context: any.
 * Return: the address of its first byte. Userspace may write the page at any time.
 */
void *shim_page_memory(u64 pfn);

/**
 * shim_pages_of() - replace pfns by the handles of their pages
 * @pfns: pfns of memory with a struct page, which become handles; marks beside
 *	the pfns are ignored
 * @count: how many
 *
 * Context: any.
 */
void shim_pages_of(u64 *pfns, u64 count);

SHIM_END

#endif
