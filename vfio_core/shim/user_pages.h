/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages of the calling process, pinned for as long as a call needs them, and
 * the kernel's view of each.
 */
#ifndef SHIM_USER_PAGES_H
#define SHIM_USER_PAGES_H

#include "shim/base.h"

struct page;

SHIM_BEGIN

/**
 * shim_user_pages_pin() - pin pages of the caller for writing
 * @uva: user address inside the first
 * @npages: how many
 * @pages: room for @npages
 *
 * Context: may sleep and fault.
 * Return: how many were pinned, from the first on; or a negative errno.
 */
long shim_user_pages_pin(u64 uva, u32 npages, struct page **pages);

/**
 * shim_user_pages_unpin() - undo shim_user_pages_pin()
 * @pages: the pages
 * @npages: how many
 * @dirty: whether any was written
 *
 * Context: may sleep.
 */
void shim_user_pages_unpin(struct page **pages, u32 npages, bool dirty);

/**
 * shim_page_map() - make a page visible to the kernel
 * @page: a pinned page
 *
 * Context: the caller does not sleep until shim_page_unmap(); mappings nest.
 * Return: where it is.
 */
u8 *shim_page_map(struct page *page);

/**
 * shim_page_unmap() - undo shim_page_map()
 * @address: what it returned
 */
void shim_page_unmap(u8 *address);

SHIM_END

#endif
