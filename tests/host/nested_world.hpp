// SPDX-License-Identifier: GPL-2.0
//
// A guest for the tests of nested domains: memory, I/O page tables in it of either
// format, and a plain walk through these that says what is to be mapped.
#pragma once

#include <optional>

#include "dma_world.hpp"
#include "nested/nested_domain.hpp"
#include "plain_walk.hpp"

namespace nested_test {

using dma_test::DmaTest;
using mock::kPage;
using namespace vfio;

// Builds the tables that a Linux guest builds for a zPCI function.
struct S390Guest {
	static constexpr GuestTable::Format kFormat = GuestTable::Format::kS390;
	static constexpr u32 kTop = 2;
	static constexpr u64 kUnit = 1 << 20;
	using Format = S390Format;

	static u64 table_entry(u32 level, u64 table)
	{
		return table | (level >= 2 ? 0x7 : 0);
	}

	static u64 page_entry(u64 gpa, u32 prot)
	{
		return gpa | (prot & SHIM_IOMMU_WRITE ? 0 : 0x200);
	}

	static u64 frame_entry(u64 gpa, u32 prot)
	{
		return page_entry(gpa, prot) | 0x400;
	}

	static u64 invalid_entry(u32 level)
	{
		return level ? 0x20 : 0x400;
	}
};

// Builds second-level tables of VT-d.
template <u32 levels> struct VtdGuest {
	static constexpr GuestTable::Format kFormat = GuestTable::Format::kVtd;
	static constexpr u32 kTop = levels - 1;
	static constexpr u64 kUnit = 2 << 20;
	using Format = VtdFormat;

	static u64 table_entry(u32, u64 table)
	{
		return table | 3;
	}

	static u64 page_entry(u64 gpa, u32 prot)
	{
		return gpa | (prot & SHIM_IOMMU_READ ? 1 : 0) | (prot & SHIM_IOMMU_WRITE ? 2 : 0);
	}

	static u64 frame_entry(u64 gpa, u32 prot)
	{
		return page_entry(gpa, prot) | 0x80;
	}

	static u64 invalid_entry(u32)
	{
		return 0;
	}
};

// A guest whose memory is the pages at kUva, from guest address 0 on. Its tables lie in
// the last quarter of it. Its device is in a group behind an IOMMU.
template <class Guest> class GuestTest : public DmaTest {
protected:
	using Format = typename Guest::Format;
	static constexpr u64 kTables = kPages / 4 * 3;

	void SetUp() override
	{
		DmaTest::SetUp();
		hardware.pgsizes = kPage | u64{2} << 20 | u64{1} << 30;
		hardware.unmaps_whole_pages = true;
	}

	GuestTable table() const
	{
		return {Guest::kFormat, Guest::kTop, root};
	}

	// The guest's memory at an address.
	u64 &at(u64 gpa)
	{
		return *reinterpret_cast<u64 *>(mock::phys::contents(kPfn + gpa / kPage) +
						gpa % kPage);
	}

	void write(u64 gpa, u64 entry)
	{
		__atomic_store_n(&at(gpa), Format::host_order(entry), __ATOMIC_RELAXED);
	}

	u64 new_table(u32 level)
	{
		const u64 size = Format::entries(level) * sizeof(u64);
		const u64 aligned = (next_table + (size - 1)) & ~(size - 1);

		for (u64 i = 0; i < Format::entries(level); i++)
			write(aligned + i * sizeof(u64), Guest::invalid_entry(level));
		next_table = aligned + size;
		EXPECT_LE(next_table, kPages * kPage);
		return aligned;
	}

	static u64 index(u32 level, u64 iova)
	{
		return (iova >> Format::shift(level)) % Format::entries(level);
	}

	// The address of the entry of a level for an IOVA; the tables above it are made
	// if they are not there.
	u64 entry(u32 level, u64 iova)
	{
		u64 table = root;

		for (u32 above = Guest::kTop; above > level; above--) {
			const u64 place = table + index(above, iova) * sizeof(u64);
			const GuestEntry found =
				Format::decode(above, Format::host_order(at(place)));

			table = found.address;
			if (found.kind != GuestEntry::Kind::kTable) {
				table = new_table(above - 1);
				write(place, Guest::table_entry(above, table));
			}
		}
		return table + index(level, iova) * sizeof(u64);
	}

	void map(u64 iova, u64 gpa, u32 prot = kReadWrite)
	{
		write(entry(0, iova), Guest::page_entry(gpa, prot));
	}

	void map_frame(u64 iova, u64 gpa, u32 prot = kReadWrite)
	{
		write(entry(1, iova), Guest::frame_entry(gpa, prot));
	}

	void unmap(u64 iova, u32 level = 0)
	{
		write(entry(level, iova), Guest::invalid_entry(level));
	}

	// What the guest's table says of a page, by itself; nothing if it is not mapped.
	std::optional<Target> plain_walk(u64 iova)
	{
		u64 table = root;
		u32 prot = kReadWrite;

		for (u32 level = Guest::kTop;; level--) {
			const u64 raw =
				Format::host_order(at(table + index(level, iova) * sizeof(u64)));
			const GuestEntry found = Format::decode(level, raw);

			prot &= found.prot;
			if (found.kind == GuestEntry::Kind::kFrame) {
				const u64 into = iova & ((u64{1} << Format::shift(level)) - 1);

				return Target{kPfn + (found.address + into) / kPage, prot};
			}
			if (found.kind != GuestEntry::Kind::kTable)
				return std::nullopt;
			table = found.address;
		}
	}

	u64 root = 0;
	u64 next_table = kTables * kPage;
	iommu_group group{&hardware, 1};
};

// The same with a nested domain.
template <class Guest> class NestedTest : public GuestTest<Guest> {
protected:
	using Base = GuestTest<Guest>;
	using Base::group;
	using Base::hardware;
	using Base::kPages;
	using Base::kPfn;
	using Base::kUva;
	using Base::pages;
	using Base::root;

	void SetUp() override
	{
		Base::SetUp();
		memory.emplace(64);
		domain = Domain::create(&group).take();
		ASSERT_TRUE(domain->attach(&group).ok());
		nested.emplace(domain->get(), *memory);
	}

	void TearDown() override
	{
		nested.reset();
		if (domain) {
			domain->detach(&group);
			domain.reset();
		}
		EXPECT_TRUE(remove(0, kPages).ok());
		memory.reset();
		EXPECT_EQ(mock::phys::all_pins(), 0u);
		Base::TearDown();
	}

	// Gives the guest pages of memory, and its first table.
	void boot(u64 npages = kPages)
	{
		ASSERT_TRUE(add(0, npages).ok());
		root = this->new_table(Guest::kTop);
	}

	Result<void> add(u64 page, u64 npages, u32 prot = kReadWrite)
	{
		memory->keep(*TRY(
			memory->add(pages(page, npages), {kUva + page * kPage}, prot, &group, 1)));
		return {};
	}

	// As UNMAP_DMA does.
	Result<u64> remove(u64 page, u64 npages)
	{
		List<DmaRange> victims;

		TRY(memory->take(pages(page, npages), victims));
		if (nested)
			nested->forget_unknown();
		return memory->remove(victims);
	}

	Refreshed refresh(u64 iova, u64 size)
	{
		return nested->refresh(this->table(), {{iova}, {iova + size - 1}},
				       Context::kSleeps);
	}

	// As where interrupts are off.
	Refreshed refresh_at_once(u64 iova, u64 size)
	{
		const mock::AtomicSection section;

		return nested->refresh(this->table(), {{iova}, {iova + size - 1}},
				       Context::kAtomic);
	}

	bool done(u64 iova, u64 size)
	{
		const Refreshed result = refresh(iova, size);

		EXPECT_EQ(result.outcome, Refreshed::Outcome::kDone);
		return result.outcome == Refreshed::Outcome::kDone;
	}

	// What the hardware maps.
	Targets mapped()
	{
		Targets targets;

		for (const auto &[iova, pte] : group.domain->ptes)
			targets[iova / kPage] = {pte.pfn, pte.prot & kReadWrite};
		EXPECT_EQ(targets.size(), nested->npages());
		return targets;
	}

	u64 flushes() const
	{
		return group.domain->flushes;
	}

	std::optional<GuestMemory> memory;
	UniquePtr<Domain> domain;
	std::optional<NestedDomain> nested;
};

} // namespace nested_test
