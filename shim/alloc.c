// SPDX-License-Identifier: GPL-2.0
#include <linux/gfp.h>
#include <linux/slab.h>

#include "shim/alloc.h"

void *shim_alloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL_ACCOUNT);
}

void *shim_alloc_object(size_t size)
{
	return kmalloc(size, GFP_KERNEL_ACCOUNT);
}

void *shim_alloc_object_certainly(size_t size)
{
	return kmalloc(size, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
}

void shim_free(void *memory)
{
	kfree(memory);
}

void *shim_valloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL_ACCOUNT);
}

void shim_vfree(void *memory)
{
	kvfree(memory);
}

void *shim_alloc_page(void)
{
	return (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
}

void shim_free_page(void *page)
{
	free_page((unsigned long)page);
}
