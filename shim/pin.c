// SPDX-License-Identifier: GPL-2.0
#include <linux/highmem.h>
#include <linux/mm.h>

#include "compat/mm.h"
#include "shim/pin.h"

static u64 pin_of_pfn(unsigned long pfn)
{
	u64 pin = pfn;

	if (!pfn_valid(pfn) || PageReserved(pfn_to_page(pfn)))
		pin |= SHIM_PIN_RESERVED;
	if (is_zero_pfn(pfn))
		pin |= SHIM_PIN_ZERO;
	return pin;
}

long shim_pin_user(struct mm_struct *mm, u64 uva, u64 npages, bool write,
		   u64 *pins)
{
	/* An entry is as wide as a pointer: pages become pins in place. */
	struct page **pages = (struct page **)pins;
	unsigned int flags = FOLL_LONGTERM | (write ? FOLL_WRITE : 0);
	long pinned, i;

	static_assert(sizeof(*pages) == sizeof(*pins));

	mmap_read_lock(mm);
	pinned = compat_pin_user_pages_remote(mm, uva, npages, flags, pages);
	mmap_read_unlock(mm);

	for (i = 0; i < pinned; i++)
		pins[i] = pin_of_pfn(page_to_pfn(pages[i]));
	return pinned ? pinned : -EFAULT;
}

int shim_follow_pfn(struct mm_struct *mm, u64 uva, bool write, u64 *pfn)
{
	unsigned long found;
	int ret;

	mmap_read_lock(mm);
	ret = compat_follow_pfnmap(mm, untagged_addr(uva), write, &found);
	mmap_read_unlock(mm);
	if (!ret)
		*pfn = pin_of_pfn(found);
	return ret;
}

void shim_unpin(u64 pfn, u64 npages, bool dirty)
{
	unpin_user_page_range_dirty_lock(pfn_to_page(pfn), npages, dirty);
}

bool shim_pfn_has_page(u64 pfn)
{
	return pfn_valid(pfn);
}

void shim_page_store(struct page **pages, u32 index, u64 pfn)
{
	pages[index] = pfn_to_page(pfn);
}

void shim_page_clear(struct page **pages, u32 index)
{
	pages[index] = NULL;
}
