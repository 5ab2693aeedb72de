// SPDX-License-Identifier: GPL-2.0
//
// What the guest of ZpciSteps writes into its tables.
#include "zpci_steps.hpp"

// Indices that other steps choose as well.
u64 ZpciSteps::some_iova(bool vtd, unsigned int top)
{
	u64 iova = 0;

	for (unsigned int level = 0; level <= top; level++) {
		const u64 entries = PlainWalk::entries(vtd, level);
		const u64 kind = below(8);
		const u64 index = kind < 4 ? 0 :
				  kind < 6 ? kind - 3 :
				  kind < 7 ? entries - 1 :
					     below(entries);

		iova |= index << PlainWalk::shift(vtd, level);
	}
	return iova;
}

u64 ZpciSteps::some_frame()
{
	switch (below(5)) {
	case 0:
		return below(32);
	case 1:
		return 32 + below(34);
	case 2:
		return 510 + below(1030);
	case 3:
		return kPages + below(10);
	default:
		return 512 * (1 + below(3));
	}
}

u64 ZpciSteps::invalid_entry(bool vtd, unsigned int level)
{
	return vtd ? 0 : level ? 0x20 : 0x400;
}

u64 ZpciSteps::some_entry(bool vtd, unsigned int level)
{
	const u64 kind = below(64);
	const u64 access = below(4);

	if (kind == 0)
		return choices->hostile();
	if (kind == 1)
		return 0;
	if (kind < 12)
		return invalid_entry(vtd, level);
	if (level && kind < 40) {
		const u64 table = below(kTablePages) * kPage;

		if (vtd)
			return table | (access ? 3 : 1);
		return (level == 1 ? table | (kind & 1) << 11 : (table & ~u64{0x3fff}) | 7) |
		       (access ? 0 : 0x200);
	}

	u64 address = some_frame() * kPage;
	if (level && below(4))
		address &= ~((u64{1} << PlainWalk::shift(vtd, level)) - 1);
	if (vtd)
		return address | (level ? 0x80 : 0) | (access ? access : 3);
	return address | (level ? 0x400 : 0) | (access ? 0 : 0x200);
}

// The guest writes only memory that it has.
void ZpciSteps::write(u64 address, bool vtd, u64 entry)
{
	const auto page = guest_.find(address / kPage);

	if (page == guest_.end() || !page->second.readable)
		return;
	entry = vtd ? htole64(entry) : htobe64(entry);
	memcpy(mock::phys::contents(page->second.pfn) + address % kPage, &entry, sizeof(entry));
}

// As a guest builds its tables: from the root to pages, the tables of a level in places of
// their own.
void ZpciSteps::build(const PlainTable &table)
{
	const u64 iova = some_iova(table.vtd, table.top);
	u64 origin = table.origin;

	for (unsigned int level = table.top;; level--) {
		const u64 entries = PlainWalk::entries(table.vtd, level);
		const u64 index = (iova >> PlainWalk::shift(table.vtd, level)) % entries;

		if (below(3) == 0)
			for (u64 i = 0; i < entries; i++)
				write(origin + i * sizeof(u64), table.vtd,
				      invalid_entry(table.vtd, level));
		if (level == 0) {
			const u64 frame = some_frame() * kPage;
			const u64 n = std::min(entries - index, 1 + below(8));
			const u64 access = table.vtd ? (below(4) ? 3 : 1) : below(4) ? 0 : 0x200;

			for (u64 i = 0; i < n; i++)
				write(origin + (index + i) * sizeof(u64), table.vtd,
				      (frame + i * kPage) | access);
			return;
		}
		const u64 next = level * 4 * kPage;
		const u64 flags = table.vtd ? (below(4) ? 3 : 1) :
					      (level > 1 ? 7 : 0) | (below(4) ? 0 : 0x200);
		write(origin + index * sizeof(u64), table.vtd, next | flags);
		origin = next;
	}
}

void ZpciSteps::table_step()
{
	const Function &function = functions_[below(kFunctions)];
	const PlainTable table =
		function.registered ? function.group->anchor.table : PlainTable{false, 2, 0};

	if (below(4)) {
		build(table);
		return;
	}

	const unsigned int level = static_cast<unsigned int>(below(table.top + 1));
	const u64 iova = some_iova(table.vtd, level);
	u64 origin = level == table.top && below(4) ? table.origin : below(kTablePages) * kPage;
	u64 entry = some_entry(table.vtd, level);
	const u64 most = PlainWalk::entries(table.vtd, level);
	const u64 index = (iova >> PlainWalk::shift(table.vtd, level)) % most;
	// Page tables are filled with successive pages, or others.
	const u64 n = level == 0 && below(2) ? 1 + below(most) : 1;
	const u64 stride = n > 1 ? below(3) * kPage : 0;

	if (!table.vtd && level == 0)
		origin |= below(2) << 11;
	for (u64 i = 0; i < n; i++, entry += stride)
		write(origin + (index + i) % most * sizeof(u64), table.vtd, entry);
}
