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
 * shim_free() - free what shim_alloc() gave
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
 * shim_vfree() - free what shim_valloc() gave
 * @memory: the memory, or NULL
 *
 * Context: may sleep.
 */
void shim_vfree(void *memory);

SHIM_END

#endif
