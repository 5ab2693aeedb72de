/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Slabs: each has the memory of all objects of one size, and is one of the kernel's
 * slab caches. Taking an object from a slab is faster than shim_alloc_object(), and its
 * size is not rounded up, so that a slab is worth having where there are many objects.
 * All memory is charged to the memory cgroup of the calling process.
 */
#ifndef SHIM_SLAB_H
#define SHIM_SLAB_H

#include "base.h"

struct kmem_cache;

/**
 * struct shim_slab - a slab
 * @size: the size of an object, in bytes
 * @cache: from shim_slab_create() until shim_slab_remove()
 */
struct shim_slab {
	size_t size;
	struct kmem_cache *cache;
};

SHIM_BEGIN

/**
 * shim_slab_create() - create the kernel's cache for a slab
 * @slab: the slab, whose size is set
 * @name: its name in /proc/slabinfo, which no other has
 *
 * May sleep.
 *
 * Return: false without memory.
 */
bool shim_slab_create(struct shim_slab *slab, const char *name);

/**
 * shim_slab_remove() - undo shim_slab_create(), when all objects are free
 * @slab: the slab
 *
 * May sleep.
 */
void shim_slab_remove(struct shim_slab *slab);

/**
 * shim_slab_alloc() - allocate an object, not zeroed
 * @slab: the slab
 *
 * May sleep.
 *
 * Return: the object, or NULL if there is no memory.
 */
void *shim_slab_alloc(struct shim_slab *slab);

/**
 * shim_slab_free() - free an object
 * @slab: the slab
 * @object: what shim_slab_alloc() returned
 */
void shim_slab_free(struct shim_slab *slab, void *object);

/**
 * shim_slab_free_many() - free several objects
 * @slab: the slab
 * @count: how many
 * @objects: the objects
 */
void shim_slab_free_many(struct shim_slab *slab, size_t count, void **objects);

SHIM_END

#endif
