// SPDX-License-Identifier: GPL-2.0
#include <linux/highmem.h>
#include <linux/mm.h>

#include "compat/gate.h"
#include "compat/mm.h"
#include "dma/shim/pin.h"

static unsigned int flags_for(bool write)
{
	return FOLL_LONGTERM | write * FOLL_WRITE;
}

static u64 marks_of(struct page *page)
{
	return PageReserved(page) ? SHIM_PIN_RESERVED : 0;
}

/* A handle is a struct page pointer. */
static struct page **array_of(u64 *pages)
{
	static_assert(sizeof(struct page *) == sizeof(u64));
	return (struct page **)pages;
}

long shim_pin_own(u64 uva, u64 npages, bool write, u64 *pages)
{
	unsigned int flags = flags_for(write);
	long pinned =
		compat_pin_user_pages_fast(uva, npages, flags, array_of(pages));

	pinned = compat_unshare_pinned(current->mm, uva, pinned, flags,
				       array_of(pages));
	return pinned ?: -EFAULT;
}

long shim_pin_remote(struct mm_struct *mm, u64 uva, u64 npages, bool write,
		     u64 *pages)
{
	unsigned int flags = flags_for(write);
	long pinned;

	mmap_read_lock(mm);
	pinned = compat_pin_user_pages_remote(mm, uva, npages, flags,
					      array_of(pages));
	pinned = compat_unshare_pinned_locked(mm, uva, pinned, flags,
					      array_of(pages));
	mmap_read_unlock(mm);
	return pinned ?: -EFAULT;
}

u64 shim_page_run(const u64 *pages, u64 count, u64 *pfn)
{
	struct page *page = (struct page *)pages[0];
	u64 marks = marks_of(page);
	u64 n = 0;

	*pfn = page_to_pfn(page) | marks;
	if (count == 1 || (struct page *)pages[1] != compat_next_page(page))
		return 1;
	do {
		struct folio *folio = page_folio(page);
		u64 end = min(count, n + folio_nr_pages(folio) -
					     folio_page_idx(folio, page));

		/* All pages of a folio have the same marks. */
		while (++n < end) {
			page = compat_next_page(page);
			if ((struct page *)pages[n] != page)
				return n;
		}
		page = compat_next_page(page);
	} while (n < count && (struct page *)pages[n] == page &&
		 marks_of(page) == marks);
	return n;
}

u64 shim_page_pfns(u64 *pages, u64 count)
{
	u64 marked = 0;
	u64 i;

	for (i = 0; i < count; i++) {
		struct page *page = (struct page *)pages[i];
		u64 marks = marks_of(page);

		pages[i] = page_to_pfn(page) | marks;
		marked += marks != 0;
	}
	return marked;
}

static u64 marks_of_pfn(unsigned long pfn)
{
	return pfn_valid(pfn) ? marks_of(pfn_to_page(pfn)) : SHIM_PIN_RESERVED;
}

/* In a pageblock all pfns have a struct page, or none has. */
static unsigned long pfn_after(unsigned long pfn)
{
	return pfn_valid(pfn) ? pfn + 1 : ALIGN(pfn + 1, pageblock_nr_pages);
}

long shim_follow_pfns(struct mm_struct *mm, u64 uva, u64 npages, bool write,
		      u64 *pfn)
{
	unsigned long first, next;
	long found;
	u64 marks;

	mmap_read_lock(mm);
	found = compat_follow_window(mm, compat_untagged_addr(mm, uva), npages,
				     write, &first);
	mmap_read_unlock(mm);
	if (found < 0)
		return found;
	marks = marks_of_pfn(first);
	next = pfn_after(first);
	while (next < first + found && marks_of_pfn(next) == marks)
		next = pfn_after(next);
	*pfn = first | marks;
	return min_t(long, next - first, found);
}

void shim_unpin(u64 pfn, u64 npages, bool dirty)
{
	struct page *page = pfn_to_page(pfn);

	if (npages > 1) {
		unpin_user_page_range_dirty_lock(page, npages, dirty);
		return;
	}
	if (dirty && !PageDirty(page))
		set_page_dirty_lock(page);
	unpin_user_page(page);
}

bool shim_pfn_has_page(u64 pfn)
{
	return pfn_valid(pfn);
}

void *shim_page_memory(u64 pfn)
{
	return page_address(pfn_to_page(pfn));
}

void shim_pages_of(u64 *pfns, u64 count)
{
	u64 i;

	for (i = 0; i < count; i++)
		pfns[i] = (u64)pfn_to_page(pfns[i] & SHIM_PIN_PFN_MASK);
}
