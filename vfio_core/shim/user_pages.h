/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pages of the calling process, which a call pins while it needs them and maps into
 * the kernel's address space to write to them.
 */
#ifndef SHIM_USER_PAGES_H
#define SHIM_USER_PAGES_H

#include "shim/base.h"

struct page;

SHIM_BEGIN

/**
 * shim_user_pages_pin() - pin pages of the caller for writing
 * @uva: user address in the first page
 * @npages: how many
 * @pages: room for @npages
 *
 * Context: may sleep and fault.
 * Return: how many pages from the first on were pinned; or a negative errno.
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
 * shim_page_map() - map a page into the kernel's address space
 * @page: a pinned page
 *
 * Context: the caller does not sleep until shim_page_unmap(), and unmaps pages in
 * the reverse order.
 * Return: the page's address.
 */
u8 *shim_page_map(struct page *page);

/**
 * shim_page_unmap() - undo shim_page_map()
 * @address: what shim_page_map() returned
 */
void shim_page_unmap(u8 *address);

SHIM_END

#endif
