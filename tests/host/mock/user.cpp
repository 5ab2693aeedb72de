// SPDX-License-Identifier: GPL-2.0
//
// Pinning user pages, and copying to and from user memory.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "dma/shim/mm.h"
#include "dma/shim/pin.h"
#include "memory.hpp"
#include "shim/alloc.h"
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
	return pin;
}

// A page handle. What kind of page it is physical memory knows from then on.
static u64 handle_of(const Page &page)
{
	phys::set_marks(page.pfn, pin_of(page) & ~SHIM_PIN_PFN_MASK);
	return reinterpret_cast<u64>(page_of(page.pfn));
}

static u64 pfn_and_marks(u64 handle)
{
	const u64 pfn = pfn_of(reinterpret_cast<const page *>(handle));

	return pfn | phys::marks(pfn);
}

std::function<void()> mock::on_pin;

long shim_pin_remote(mm_struct *mm, u64 uva, u64 npages, bool write, u64 *pages)
{
	if (on_pin)
		on_pin();

	const PseudoLock mmap_lock("mmap_lock");
	u64 n = 0;

	if (mm->users <= 0)
		violation("pin in a dead address space");
	if (npages == 0 || uva % kPage)
		violation("pin of %llu pages at %#llx", npages, uva);
	if (plan.hit(Fail::kPin) || mm->out_of_memory)
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
	mm_struct *mm = shim_current_mm();

	if (uva >= mm->closed_from)
		return -EFAULT;
	return shim_pin_remote(mm, uva, std::min(npages, (mm->closed_from - 1 - uva) / kPage + 1),
			       write, pages);
}

u64 shim_page_run(const u64 *pages, u64 count, u64 *pfn)
{
	u64 n = 1;

	*pfn = pfn_and_marks(pages[0]);
	while (n < count && pfn_and_marks(pages[n]) == *pfn + n)
		n++;
	return n;
}

u64 shim_page_pfns(u64 *pages, u64 count)
{
	u64 marked = 0;

	for (u64 i = 0; i < count; i++) {
		pages[i] = pfn_and_marks(pages[i]);
		marked += (pages[i] & ~SHIM_PIN_PFN_MASK) != 0;
	}
	return marked;
}

long shim_follow_pfns(mm_struct *mm, u64 uva, u64 npages, bool write, u64 *pfn)
{
	const PseudoLock mmap_lock("mmap_lock");
	u64 n = 0;

	if (mm->users <= 0)
		violation("look-up in a dead address space");
	if (npages == 0)
		violation("look-up of no page");
	mm->follows++;
	if (plan.hit(Fail::kFollow))
		return -EFAULT;
	for (; n < npages; n++) {
		Page page;

		if (!mm->find(uva + n * kPage, page) || (write && !page.writable) ||
		    (page.kind != Kind::kBar && page.kind != Kind::kRamMap))
			break;
		if (n == 0)
			*pfn = pin_of(page);
		else if (pin_of(page) != *pfn + n)
			break;
	}
	return n ? static_cast<long>(n) : -EFAULT;
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

bool shim_pfn_has_page(u64 pfn)
{
	return pfn < kDevicePfn;
}

void shim_pages_of(u64 *pfns, u64 count)
{
	for (u64 i = 0; i < count; i++) {
		const u64 pfn = pfns[i] & SHIM_PIN_PFN_MASK;

		if (!shim_pfn_has_page(pfn))
			violation("page of %#llx, which has none", pfn);
		pfns[i] = reinterpret_cast<u64>(page_of(pfn));
	}
}

void *shim_page_memory(u64 pfn)
{
	if (!shim_pfn_has_page(pfn))
		violation("memory of %#llx, which has none", pfn);
	if (!phys::pins(pfn))
		violation("page %#llx is read and not pinned", pfn);
	return phys::contents(pfn);
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

static std::atomic<u64> copies_until_meanwhile;
static std::function<void()> meanwhile;

void mock::before_copy_out(u64 nth, std::function<void()> body)
{
	meanwhile = std::move(body);
	copies_until_meanwhile = nth;
}

// body() may copy to userspace, too: the count is 0 then, so that it runs once.
static void run_meanwhile()
{
	if (copies_until_meanwhile == 0 || --copies_until_meanwhile != 0)
		return;
	std::thread(std::exchange(meanwhile, nullptr)).join();
}

bool shim_copy_to_user(u64 to, const void *from, size_t size)
{
	run_meanwhile();
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

bool shim_copy_struct_from_user(void *to, u64 from, size_t size)
{
	return shim_copy_from_user(to, from, size);
}

bool shim_put_user(u64 to, u64 value)
{
	return shim_copy_to_user(to, &value, sizeof(value));
}

// User addresses end at 2^47, less a page, as on x86.
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
