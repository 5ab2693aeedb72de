// SPDX-License-Identifier: GPL-2.0
#include <linux/highmem.h>
#include <linux/mm.h>

#include "compat/mm.h"
#include "vfio_core/shim/user_pages.h"

long shim_user_pages_pin(u64 uva, u32 npages, struct page **pages)
{
	return compat_pin_user_pages_fast(uva, npages, FOLL_WRITE, pages);
}

void shim_user_pages_unpin(struct page **pages, u32 npages, bool dirty)
{
	unpin_user_pages_dirty_lock(pages, npages, dirty);
}

u8 *shim_page_map(struct page *page)
{
	return kmap_local_page(page);
}

void shim_page_unmap(u8 *address)
{
	kunmap_local(address);
}
