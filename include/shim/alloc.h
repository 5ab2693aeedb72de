/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Memory for the core. All of it is charged to the memory cgroup of the calling
 * process. All functions may sleep, except shim_free(), which may be
 * called in any context but NMI. Sizes are in bytes, and not zero.
 * Without memory, NULL is returned.
 */
#ifndef SHIM_ALLOC_H
#define SHIM_ALLOC_H

#include "base.h"

SHIM_BEGIN

/**
 * shim_alloc() - allocate zeroed, physically contiguous memory
 * @size: how much
 */
void *shim_alloc(size_t size);

/**
 * shim_alloc_object() - allocate memory as shim_alloc() does, but not zeroed
 * @size: how much
 */
void *shim_alloc_object(size_t size);

/**
 * shim_alloc_object_certainly() - shim_alloc_object() that never fails
 * @size: less than a page
 *
 * For callers that cannot fail and cannot allocate beforehand. Sleeps until memory
 * is free.
 */
void *shim_alloc_object_certainly(size_t size);

/**
 * shim_free() - free what shim_alloc() or shim_alloc_object() returned
 * @memory: the memory, or NULL
 */
void shim_free(void *memory);

/**
 * shim_valloc() - allocate zeroed memory, which need not be physically contiguous
 * @size: how much
 */
void *shim_valloc(size_t size);

/**
 * shim_vfree() - free what shim_valloc() returned
 * @memory: the memory, or NULL
 */
void shim_vfree(void *memory);

/**
 * shim_alloc_page() - allocate a page of memory, not zeroed
 *
 * Return: the page, or NULL.
 */
void *shim_alloc_page(void);

/**
 * shim_free_page() - free what shim_alloc_page() returned
 * @page: the page, or NULL
 */
void shim_free_page(void *page);

SHIM_END

#endif
