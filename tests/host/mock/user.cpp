// SPDX-License-Identifier: GPL-2.0
//
// Pinning user pages, and copying to and from user memory.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "memory.hpp"
#include "shim/alloc.h"
#include "shim/mm.h"
#include "shim/pin.h"
#include "shim/uaccess.h"

using namespace mock;

namespace {

// Calls copy(contents, offset in buffer, bytes) for each page of a range.
template <class F> bool each_page(u64 address, size_t size, bool write, F copy)
{
	mm_struct *mm = mm_in_use();

	if (!mm)
		return false;
	const PseudoLock mmap_lock("mmap_lock");
	for (size_t done = 0; done < size;) {
		const u64 at = address + done;
		const size_t n = std::min<size_t>(size - done, kPage - at % kPage);
		Page page;

		if (!mm->find(at & ~(kPage - 1), page) || (write && !page.writable))
			return false;
		copy(phys::contents(page.pfn) + at % kPage, done, n);
		done += n;
	}
	return true;
}

} // namespace

static u64 pin_of(const Page &page)
{
	u64 pin = page.pfn;

	if (page.kind == Kind::kReserved || page.kind == Kind::kBar)
		pin |= SHIM_PIN_RESERVED;
	// The kernel's zero page is a reserved one.
	if (page.kind == Kind::kZero)
		pin |= SHIM_PIN_ZERO | SHIM_PIN_RESERVED;
	return pin;
}

// A page handle: the pfn, and what kind of page it is. Not a pin yet.
static u64 handle_of(const Page &page)
{
	return page.pfn << 2 | (page.kind == Kind::kReserved) << 1 | (page.kind == Kind::kZero);
}

long shim_pin_remote(mm_struct *mm, u64 uva, u64 npages, bool write, u64 *pages)
{
	const PseudoLock mmap_lock("mmap_lock");
	u64 n = 0;

	if (mm->users <= 0)
		violation("pin in a dead address space");
	if (npages == 0 || uva % kPage)
		violation("pin of %llu pages at %#llx", npages, uva);
	if (plan.hit(Fail::kPin))
		return -ENOMEM;
	for (; n < std::min(npages, mm->pin_batch); n++) {
		Page page;

		if (!mm->find(uva + n * kPage, page) || (write && !page.writable) ||
		    page.kind == Kind::kBar || page.kind == Kind::kRamMap)
			break;
		phys::pin(page.pfn);
		pages[n] = handle_of(page);
	}
	return n ? static_cast<long>(n) : -EFAULT;
}

long shim_pin_own(u64 uva, u64 npages, bool write, u64 *pages)
{
	return shim_pin_remote(shim_current_mm(), uva, npages, write, pages);
}

u64 shim_page_run(const u64 *pages, u64 count, u64 *pfn)
{
	u64 n = 1;

	*pfn = pages[0] >> 2;
	if (pages[0] & 1)
		*pfn |= SHIM_PIN_ZERO;
	if (pages[0] & 3)
		*pfn |= SHIM_PIN_RESERVED;
	while (n < count && pages[n] == pages[n - 1] + 4)
		n++;
	return n;
}

int shim_follow_pfn(mm_struct *mm, u64 uva, bool write, u64 *pfn)
{
	const PseudoLock mmap_lock("mmap_lock");
	Page page;

	if (mm->users <= 0)
		violation("look-up in a dead address space");
	if (plan.hit(Fail::kFollow) || !mm->find(uva, page) || (write && !page.writable) ||
	    (page.kind != Kind::kBar && page.kind != Kind::kRamMap))
		return -EFAULT;
	*pfn = pin_of(page);
	return 0;
}

void shim_unpin(u64 pfn, u64 npages, bool dirty)
{
	if (npages == 0)
		violation("unpin of no page");
	if (pfn + npages > kDevicePfn)
		violation("unpin of %#llx, which has no struct page", pfn);
	for (u64 i = 0; i < npages; i++)
		phys::unpin(pfn + i, dirty);
}

void shim_unpin_page(u64 pfn, bool dirty)
{
	shim_unpin(pfn, 1, dirty);
}

bool shim_pfn_has_page(u64 pfn)
{
	return pfn < kDevicePfn;
}

void shim_page_store(page **pages, u32 index, u64 pfn)
{
	if (!shim_pfn_has_page(pfn))
		violation("page of %#llx, which has none", pfn);
	pages[index] = page_of(pfn);
}

void shim_page_clear(page **pages, u32 index)
{
	pages[index] = nullptr;
}

bool shim_copy_from_user(void *to, u64 from, size_t size)
{
	if (plan.hit(Fail::kCopyIn))
		return false;
	if (UserWindow::allows(from, size, false)) {
		const PseudoLock mmap_lock("mmap_lock");

		memcpy(to, reinterpret_cast<const void *>(from), size);
		return true;
	}
	return each_page(from, size, false, [&](const u8 *bytes, size_t offset, size_t n) {
		memcpy(static_cast<u8 *>(to) + offset, bytes, n);
	});
}

bool shim_copy_to_user(u64 to, const void *from, size_t size)
{
	if (plan.hit(Fail::kCopyOut))
		return false;
	if (UserWindow::allows(to, size, true)) {
		const PseudoLock mmap_lock("mmap_lock");

		memcpy(reinterpret_cast<void *>(to), from, size);
		return true;
	}
	return each_page(to, size, true, [&](u8 *bytes, size_t offset, size_t n) {
		memcpy(bytes, static_cast<const u8 *>(from) + offset, n);
	});
}

// User addresses end at 2^47, less a page, as on x86.
bool shim_copy_words_from_user(u64 *to, u64 from, u32 nwords)
{
	return shim_copy_from_user(to, from, nwords * sizeof(u64));
}

bool shim_copy_words_to_user(u64 to, const u64 *from, u32 nwords)
{
	return shim_copy_to_user(to, from, nwords * sizeof(u64));
}

bool shim_access_ok(u64 address, u64 size)
{
	constexpr u64 kLimit = (u64{1} << 47) - kPage;

	return size <= kLimit && address <= kLimit - size;
}

int shim_string_from_user(u64 from, size_t size, char **string)
{
	std::string text;

	for (char byte = 1; byte;) {
		if (text.size() == size)
			return -EINVAL;
		if (!shim_copy_from_user(&byte, from + text.size(), 1))
			return -EFAULT;
		text.push_back(byte);
	}
	char *copy = static_cast<char *>(shim_alloc(text.size()));
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text.data(), text.size());
	*string = copy;
	return 0;
}
