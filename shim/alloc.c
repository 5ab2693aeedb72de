// SPDX-License-Identifier: GPL-2.0
#include <linux/slab.h>

#include "shim/alloc.h"

void *shim_alloc(size_t size)
{
	return kzalloc(size, GFP_KERNEL_ACCOUNT);
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
