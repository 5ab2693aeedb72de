/* SPDX-License-Identifier: GPL-2.0 */
/* Memory for the core. All of it is charged to the caller's memory cgroup. */
#ifndef SHIM_ALLOC_H
#define SHIM_ALLOC_H

#include "base.h"

SHIM_BEGIN

/**
 * shim_alloc() - allocate zeroed, physically contiguous memory
 * @size: bytes, not zero
 *
 * Context: may sleep.
 * Return: the memory, or NULL.
 */
void *shim_alloc(size_t size);

/**
 * shim_alloc_object() - the same, not cleared: for what has a constructor
 * @size: bytes, not zero
 *
 * Context: may sleep.
 * Return: the memory, or NULL.
 */
void *shim_alloc_object(size_t size);

/**
 * shim_alloc_object_certainly() - shim_alloc_object() that does not give up
 * @size: bytes, not zero and less than a page
 *
 * For what can neither fail nor know beforehand what it needs.
 *
 * Context: may sleep until there is memory.
 * Return: the memory.
 */
void *shim_alloc_object_certainly(size_t size);

/**
 * shim_free_many() - free several pieces that shim_alloc() or
 * shim_alloc_object() returned
 * @count: how many
 * @memory: the pieces, none of them NULL
 *
 * Context: any but NMI.
 */
void shim_free_many(size_t count, void **memory);

/**
 * shim_free() - free what shim_alloc() or shim_alloc_object() returned
 * @memory: the memory, or NULL
 *
 * Context: any but NMI.
 */
void shim_free(void *memory);

/**
 * shim_valloc() - allocate zeroed memory that may be virtually contiguous only
 * @size: bytes, not zero
 *
 * Context: may sleep.
 * Return: the memory, or NULL.
 */
void *shim_valloc(size_t size);

/**
 * shim_vfree() - free what shim_valloc() returned
 * @memory: the memory, or NULL
 *
 * Context: may sleep.
 */
void shim_vfree(void *memory);

/**
 * shim_alloc_page() - allocate a page of scratch memory, not cleared
 *
 * Context: may sleep.
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
