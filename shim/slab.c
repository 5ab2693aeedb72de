// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "shim/slab.h"

bool shim_slab_create(struct shim_slab *slab, const char *name)
{
	slab->cache =
		kmem_cache_create(name, slab->size, 0, SLAB_ACCOUNT, NULL);
	return slab->cache;
}

void shim_slab_remove(struct shim_slab *slab)
{
	kmem_cache_destroy(slab->cache);
}

void *shim_slab_alloc(struct shim_slab *slab)
{
	return kmem_cache_alloc(slab->cache, GFP_KERNEL);
}

void shim_slab_free(struct shim_slab *slab, void *object)
{
	kmem_cache_free(slab->cache, object);
}

void shim_slab_free_many(struct shim_slab *slab, size_t count, void **objects)
{
	kmem_cache_free_bulk(slab->cache, count, objects);
}
