// SPDX-License-Identifier: GPL-2.0
#include <memory>
#include <unordered_map>
#include <utility>

#include "memory.hpp"

namespace mock {

namespace phys {

namespace {

struct State {
	u64 pins = 0;
	u64 ptes = 0;
	bool dirty = false;
	u64 marks = 0;
	std::unique_ptr<u8[]> bytes;
};

std::mutex mutex;
std::unordered_map<u64, State> pages;
u64 total;

} // namespace

void pin(u64 pfn)
{
	const std::lock_guard guard(mutex);

	pages[pfn].pins++;
	total++;
}

void unpin(u64 pfn, bool dirty)
{
	const std::lock_guard guard(mutex);
	State &page = pages[pfn];

	if (page.pins == 0) {
		violation("page %#llx unpinned more often than pinned", pfn);
		return;
	}
	page.pins--;
	total--;
	page.dirty |= dirty;
	if (page.pins == 0 && page.ptes)
		violation("page %#llx unpinned while a domain maps it", pfn);
}

void set_marks(u64 pfn, u64 marks)
{
	const std::lock_guard guard(mutex);

	pages[pfn].marks = marks;
}

u64 marks(u64 pfn)
{
	const std::lock_guard guard(mutex);

	return pages[pfn].marks;
}

u64 pins(u64 pfn)
{
	const std::lock_guard guard(mutex);

	return pages[pfn].pins;
}

u64 all_pins()
{
	const std::lock_guard guard(mutex);

	return total;
}

std::map<u64, u64> pinned()
{
	const std::lock_guard guard(mutex);
	std::map<u64, u64> result;

	for (const auto &[pfn, page] : pages)
		if (page.pins)
			result[pfn] = page.pins;
	return result;
}

bool take_dirty(u64 pfn)
{
	const std::lock_guard guard(mutex);

	return std::exchange(pages[pfn].dirty, false);
}

u8 *contents(u64 pfn)
{
	const std::lock_guard guard(mutex);
	State &page = pages[pfn];

	if (!page.bytes)
		page.bytes = std::make_unique<u8[]>(kPage);
	return page.bytes.get();
}

void reset()
{
	const std::lock_guard guard(mutex);

	pages.clear();
	total = 0;
}

void mapped(u64 pfn)
{
	const std::lock_guard guard(mutex);
	State &page = pages[pfn];

	page.ptes++;
	if (page.pins == 0 && pfn < kDevicePfn)
		violation("page %#llx mapped for a device and not pinned", pfn);
}

void unmapped(u64 pfn)
{
	const std::lock_guard guard(mutex);

	pages[pfn].ptes--;
}

} // namespace phys

} // namespace mock
