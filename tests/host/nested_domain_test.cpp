// SPDX-License-Identifier: GPL-2.0
//
// Nested domains: what a refresh maps and unmaps, in both formats of guest tables.
#include "choices.hpp"
#include "nested_world.hpp"

namespace nested_test {

namespace {

template <class Guest> class Nested : public NestedTest<Guest> {
};

using Guests = testing::Types<S390Guest, VtdGuest<3>, VtdGuest<4>, VtdGuest<5>>;
TYPED_TEST_SUITE(Nested, Guests);

constexpr u64 kIova = 0x1234'5000;

TYPED_TEST(Nested, APageIsMappedAndUnmapped)
{
	this->boot();
	this->map(kIova, 7 * kPage);
	EXPECT_TRUE(this->mapped().empty()) << "before the guest has said so";
	ASSERT_TRUE(this->done(kIova, kPage));
	EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 7, kReadWrite}}}));
	EXPECT_EQ(this->flushes(), 0u);

	this->unmap(kIova);
	ASSERT_TRUE(this->done(kIova, kPage));
	EXPECT_TRUE(this->mapped().empty());
	EXPECT_EQ(this->flushes(), 1u);
}

TYPED_TEST(Nested, OtherPagesStay)
{
	this->boot();
	for (u64 i = 0; i < 4; i++)
		this->map(kIova + i * kPage, (10 + 3 * i) * kPage);
	ASSERT_TRUE(this->done(kIova, 4 * kPage));
	this->unmap(kIova + kPage);
	this->unmap(kIova + 3 * kPage);
	ASSERT_TRUE(this->done(kIova, 2 * kPage));
	EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 10, kReadWrite}},
					   {kIova / kPage + 2, {this->kPfn + 16, kReadWrite}},
					   {kIova / kPage + 3, {this->kPfn + 19, kReadWrite}}}))
		<< "the range does not reach the last";
}

TYPED_TEST(Nested, ChangesOfFrameAndOfAccessAreSeen)
{
	this->boot();
	this->map(kIova, 5 * kPage);
	this->map(kIova + kPage, 6 * kPage);
	ASSERT_TRUE(this->done(kIova, 2 * kPage));
	this->map(kIova, 9 * kPage);
	this->map(kIova + kPage, 6 * kPage, SHIM_IOMMU_READ);
	ASSERT_TRUE(this->done(kIova, 2 * kPage));
	EXPECT_EQ(this->mapped(),
		  (Targets{{kIova / kPage, {this->kPfn + 9, kReadWrite}},
			   {kIova / kPage + 1, {this->kPfn + 6, SHIM_IOMMU_READ}}}));
	EXPECT_EQ(this->flushes(), 1u);
}

TYPED_TEST(Nested, NothingIsDoneIfNothingHasChanged)
{
	this->boot();
	for (u64 i = 0; i < 600; i++)
		this->map(kIova + i * kPage, (i * 7 % 1000) * kPage + kPage);
	ASSERT_TRUE(this->done(kIova, 600 * kPage));
	const u64 maps = this->group.domain->maps;
	ASSERT_TRUE(this->done(0, u64{1} << 34));
	EXPECT_EQ(this->group.domain->maps, maps);
	EXPECT_EQ(this->group.domain->unmaps, 0u);
	EXPECT_EQ(this->mapped().size(), 600u);
}

TYPED_TEST(Nested, AnInvalidTableUnmapsAllThatItHad)
{
	this->boot();
	for (u64 i = 0; i < 700; i++)
		this->map(kIova + i * kPage, (i + 1) * kPage);
	ASSERT_TRUE(this->done(kIova, 700 * kPage));
	this->unmap(kIova, TypeParam::kTop);
	ASSERT_TRUE(this->done(kIova, 700 * kPage));
	EXPECT_TRUE(this->mapped().empty());
	EXPECT_EQ(this->flushes(), 1u);
}

// Access is the least that any entry on the way permits.
TYPED_TEST(Nested, TablesRestrictWhatTheyLeadTo)
{
	this->boot();
	this->map(kIova, 3 * kPage);
	const u64 place = this->entry(1, kIova);
	const u64 raw = TypeParam::Format::host_order(this->at(place));
	this->write(place,
		    TypeParam::kFormat == GuestTable::Format::kS390 ? raw | 0x200 : raw & ~2);
	ASSERT_TRUE(this->done(kIova, kPage));
	EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 3, SHIM_IOMMU_READ}}}));
}

TYPED_TEST(Nested, AFrameIsOneCallAndGoesAsAWhole)
{
	const u64 unit = TypeParam::kUnit;
	const u64 iova = 37 * unit;

	this->boot();
	this->map_frame(iova, 2 * unit);
	ASSERT_TRUE(this->done(iova, unit));
	EXPECT_EQ(this->mapped().size(), unit / kPage);
	EXPECT_EQ(this->group.domain->maps, 1u);
	EXPECT_EQ(this->mapped().at(iova / kPage + 9).pfn, this->kPfn + 2 * unit / kPage + 9);

	// It becomes a page table, and the guest says so for one page.
	this->write(this->entry(1, iova), TypeParam::invalid_entry(1));
	this->map(iova + 3 * kPage, kPage);
	ASSERT_TRUE(this->done(iova + 3 * kPage, kPage));
	const Targets now = this->mapped();
	EXPECT_EQ(now.at(iova / kPage + 3).pfn, this->kPfn + 1);
	for (const auto &[page, target] : now)
		EXPECT_TRUE(page == iova / kPage + 3 ||
			    target.pfn == this->kPfn + 2 * unit / kPage + page - iova / kPage);
}

TYPED_TEST(Nested, APartOfAFrameIsMapped)
{
	const u64 unit = TypeParam::kUnit;

	this->boot();
	this->map_frame(unit, 0);
	ASSERT_TRUE(this->done(unit + 5 * kPage, 2 * kPage));
	EXPECT_EQ(this->mapped(), (Targets{{unit / kPage + 5, {this->kPfn + 5, kReadWrite}},
					   {unit / kPage + 6, {this->kPfn + 6, kReadWrite}}}));
	ASSERT_TRUE(this->done(unit, unit));
	EXPECT_EQ(this->mapped().size(), unit / kPage);
}

TYPED_TEST(Nested, AFrameThatTheGuestDoesNotHave)
{
	this->boot();
	this->map(kIova, 2 * kPage);
	this->map(kIova + kPage, this->kPages * kPage);
	const Refreshed result = this->refresh(kIova, 4 * kPage);
	EXPECT_EQ(result.outcome, Refreshed::Outcome::kFault);
	EXPECT_EQ(result.fault, WalkFault::kEntry);
	EXPECT_EQ(result.at.value, kIova + kPage);
	EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 2, kReadWrite}}}))
		<< "what is before the fault is mapped";
}

// Also where the hardware could map all of the frame by a large page.
TYPED_TEST(Nested, AFrameThatTheGuestHasInPart)
{
	const u64 unit = TypeParam::kUnit;
	const u64 last = this->kPages * kPage - unit;

	this->hardware.pgsizes |= unit;
	this->nested.emplace(this->domain->get(), *this->memory);
	ASSERT_TRUE(this->add(0, this->kPages - 9).ok());
	this->next_table -= unit;
	this->root = this->new_table(TypeParam::kTop);
	this->map(2 * unit, kPage);
	this->map_frame(3 * unit, last);
	const Refreshed result = this->refresh(2 * unit, 3 * unit);
	EXPECT_EQ(result.outcome, Refreshed::Outcome::kFault);
	EXPECT_EQ(result.fault, WalkFault::kEntry);
	EXPECT_EQ(result.at.value, 4 * unit - 9 * kPage);
	Targets before{{2 * unit / kPage, {this->kPfn + 1, kReadWrite}}};
	for (u64 i = 0; i < unit / kPage - 9; i++)
		before[3 * unit / kPage + i] = {this->kPfn + last / kPage + i, kReadWrite};
	EXPECT_EQ(this->mapped(), before);

	// They are pages, and go one by one.
	this->write(this->entry(1, 3 * unit), TypeParam::invalid_entry(1));
	ASSERT_TRUE(this->done(3 * unit, kPage));
	before.erase(3 * unit / kPage);
	EXPECT_EQ(this->mapped(), before);

	ASSERT_TRUE(this->add(this->kPages - 9, 9).ok());
	this->map_frame(3 * unit, last);
	ASSERT_TRUE(this->done(3 * unit, unit));
	EXPECT_EQ(this->mapped().size(), 1 + unit / kPage);
}

TYPED_TEST(Nested, TablesThatTheGuestDoesNotHave)
{
	this->boot();
	for (u32 level = 1; level <= TypeParam::kTop; level++) {
		this->write(this->entry(level, kIova), TypeParam::table_entry(level, u64{1} << 40));
		const Refreshed result = this->refresh(kIova, kPage);
		EXPECT_EQ(result.outcome, Refreshed::Outcome::kFault);
		EXPECT_EQ(result.fault, WalkFault::kEntry);
		EXPECT_EQ(result.at.value, kIova);
	}
	this->root = u64{1} << 40;
	EXPECT_EQ(this->refresh(kIova, kPage).fault, WalkFault::kEntry);
	EXPECT_TRUE(this->mapped().empty());
}

TYPED_TEST(Nested, MemoryThatGoesIsUnmapped)
{
	ASSERT_TRUE(this->add(0, 16).ok());
	ASSERT_TRUE(this->add(16, 16).ok());
	ASSERT_TRUE(this->add(32, this->kPages - 32).ok());
	this->root = this->new_table(TypeParam::kTop);
	for (u64 i = 0; i < 40; i++)
		this->map(kIova + i * kPage, i * kPage + (TypeParam::kTop == 2 && i == 0) * kPage);
	ASSERT_TRUE(this->done(kIova, 40 * kPage));
	ASSERT_EQ(this->remove(16, 16).value(), 16 * kPage);
	EXPECT_EQ(this->mapped().size(), 24u);
	EXPECT_EQ(this->remove(16, 1).value(), 0u);
	EXPECT_EQ(this->remove(0, 8).error(), Error(EINVAL)) << "a mapping is not split";

	// Other memory comes to the same guest addresses.
	this->process.mm.map(0x20'0000'0000, 16, this->kPfn + 0x10'0000);
	this->memory->keep(
		*this->memory
			 ->add(this->pages(16, 16), {0x20'0000'0000}, kReadWrite, &this->group, 1)
			 .take());
	ASSERT_TRUE(this->done(kIova, 40 * kPage));
	EXPECT_EQ(this->mapped().at(kIova / kPage + 20).pfn, this->kPfn + 0x10'0000 + 4);
}

TYPED_TEST(Nested, AccessIsThatOfTheMemory)
{
	ASSERT_TRUE(this->add(0, 16, SHIM_IOMMU_READ).ok());
	ASSERT_TRUE(this->add(16, this->kPages - 16).ok());
	this->root = this->new_table(TypeParam::kTop);
	this->map(kIova, 3 * kPage);
	this->map(kIova + kPage, 20 * kPage);
	ASSERT_TRUE(this->done(kIova, 2 * kPage));
	EXPECT_EQ(this->mapped().at(kIova / kPage).prot, u32{SHIM_IOMMU_READ});
	EXPECT_EQ(this->mapped().at(kIova / kPage + 1).prot, kReadWrite);
}

// A device's memory is mapped by calls of its own.
TYPED_TEST(Nested, MemoryWithoutStructPages)
{
	this->boot();
	this->process.mm.map(0x20'0000'0000, 4, mock::kDevicePfn + 5, true, mock::Kind::kBar);
	this->memory->keep(*this->memory
				    ->add(this->pages(this->kPages, 4), {0x20'0000'0000},
					  kReadWrite, &this->group, 1)
				    .take());
	const u64 gpas[] = {5, 9, this->kPages, this->kPages + 1, 11, 13};
	for (u64 i = 0; i < std::size(gpas); i++)
		this->map(kIova + i * kPage, gpas[i] * kPage);
	ASSERT_TRUE(this->done(kIova, std::size(gpas) * kPage));
	const Targets mapped = this->mapped();
	EXPECT_EQ(mapped.at(kIova / kPage + 2).pfn, mock::kDevicePfn + 5);
	EXPECT_EQ(mapped.at(kIova / kPage + 3).pfn, mock::kDevicePfn + 6);
	EXPECT_EQ(mapped.at(kIova / kPage + 5).pfn, this->kPfn + 13);
	this->nested->clear();
	EXPECT_EQ(this->remove(this->kPages, 4).value(), 4 * kPage);
}

// Many tables, as a guest makes them that lets all entries lead to one.
TYPED_TEST(Nested, ALargeRangeIsRefreshedInSlices)
{
	using Format = typename TypeParam::Format;
	constexpr u64 kTables = 16384;
	const u64 roots = kTables / Format::entries(1);

	this->boot();
	const u64 page_table = this->new_table(0);
	const u64 table = this->new_table(1);
	for (u64 i = 0; i < Format::entries(1); i++)
		this->write(table + i * sizeof(u64), TypeParam::table_entry(1, page_table));
	for (u64 i = 0; i < roots; i++)
		this->write(this->entry(2, i << Format::shift(2)),
			    TypeParam::table_entry(2, table));

	const u64 end = roots << Format::shift(2);
	u64 at = 0;
	int slices = 1;
	for (Refreshed result = this->refresh(0, end); result.more;
	     result = this->refresh(at, end - at)) {
		EXPECT_EQ(result.outcome, Refreshed::Outcome::kDone);
		ASSERT_GT(result.at.value, at);
		at = result.at.value;
		ASSERT_LT(at, end);
		slices++;
	}
	EXPECT_EQ(slices, 2);
}

// A table that is only partly in the guest's memory: what its first part says is done.
TYPED_TEST(Nested, ATableThatBeginsInMemory)
{
	using Format = typename TypeParam::Format;
	const u64 span = u64{1} << Format::shift(TypeParam::kTop);

	if (Format::entries(TypeParam::kTop) * sizeof(u64) <= kPage)
		return; // it lies in one page
	this->boot();
	this->map(kIova, 3 * kPage);
	ASSERT_TRUE(this->done(kIova, kPage));
	this->root = (this->kPages - 1) * kPage;
	for (u64 i = 0; i < kPage / sizeof(u64); i++)
		this->write(this->root + i * sizeof(u64),
			    TypeParam::invalid_entry(TypeParam::kTop));
	const Refreshed result = this->refresh(0, 600 * span);
	EXPECT_EQ(result.outcome, Refreshed::Outcome::kFault);
	EXPECT_EQ(result.at.value, 512 * span);
	EXPECT_TRUE(this->mapped().empty());
}

// Every call that can fail, in turn.
TYPED_TEST(Nested, FailuresLeaveADomainThatIsConsistent)
{
	this->boot();
	for (const mock::Fail what : {mock::Fail::kAlloc, mock::Fail::kDomainMap}) {
		for (u64 nth = 1;; nth++) {
			for (u64 i = 0; i < 300; i++)
				this->map(kIova + i * kPage, (i * 5 % 997 + 1) * kPage);
			this->map_frame(TypeParam::kUnit * 40, TypeParam::kUnit);
			mock::plan.reset();
			mock::plan.fail(what, nth);
			const Refreshed first = this->refresh(0, u64{1} << 31);
			const bool fired = mock::plan.fired();
			mock::plan.reset();
			// Some memory only saves time.
			EXPECT_TRUE(fired || first.outcome == Refreshed::Outcome::kDone);
			EXPECT_EQ(first.outcome == Refreshed::Outcome::kDone,
				  this->mapped().size() == 300 + TypeParam::kUnit / kPage);
			EXPECT_TRUE(first.outcome == Refreshed::Outcome::kDone ||
				    first.outcome == Refreshed::Outcome::kNoRoom);
			for (const auto &[page, target] : this->mapped())
				EXPECT_EQ(this->plain_walk(page * kPage), target);
			if (!fired)
				break;
			ASSERT_LT(nth, 100u);
			ASSERT_TRUE(this->done(0, u64{1} << 31));
			EXPECT_EQ(this->mapped().size(), 300 + TypeParam::kUnit / kPage);
			this->unmap(0, TypeParam::kTop);
			this->write(this->entry(1, kIova), TypeParam::invalid_entry(1));
			this->nested->clear();
			this->next_table = this->kTables * kPage;
			this->root = this->new_table(TypeParam::kTop);
		}
		this->nested->clear();
		this->next_table = this->kTables * kPage;
		this->root = this->new_table(TypeParam::kTop);
	}
}

// Whatever the guest does to its table: after a refresh the range is as the table says,
// and pages outside are as they were, or as the table says.
TYPED_TEST(Nested, Random)
{
	constexpr u64 kWindow = u64{8} << 20;
	RandomChoices choices(this->random("NestedRandom"));
	Targets model;
	const auto one_in = [&](u64 n) { return choices.below(n) == 0; };

	this->boot();
	for (int step = 0; step < 3000; step++) {
		const u64 iova = choices.below(kWindow / kPage) * kPage;
		const u64 n = 1 + choices.below(one_in(4) ? 700 : 6);
		const u32 prot = one_in(4) ? SHIM_IOMMU_READ : kReadWrite;
		const u64 gpa = (1 + choices.below(2000)) * kPage;
		const bool straight = one_in(2);

		if (one_in(12)) {
			this->map_frame(
				iova, choices.below(4) * TypeParam::kUnit + TypeParam::kUnit, prot);
		} else if (one_in(20)) {
			this->unmap(iova, 1);
		} else {
			if (this->next_table > (this->kPages - 64) * kPage) {
				// The guest has used up its memory for tables.
				this->next_table = this->kTables * kPage;
				this->root = this->new_table(TypeParam::kTop);
				ASSERT_TRUE(this->done(0, kWindow));
				model = this->mapped();
			}
			for (u64 i = 0; i < n && iova + i * kPage < kWindow; i++)
				if (one_in(8))
					this->unmap(iova + i * kPage);
				else
					this->map(iova + i * kPage,
						  straight ? gpa + i * kPage :
							     (1 + choices.below(2500)) * kPage,
						  prot);
		}

		const u64 first = one_in(3) ? iova : choices.below(kWindow / kPage) * kPage;
		const u64 size = std::min(kWindow - first, (1 + choices.below(900)) * kPage);
		ASSERT_TRUE(this->done(first, size));
		const Targets now = this->mapped();
		for (u64 page = 0; page < kWindow / kPage; page++) {
			// Nothing has no access.
			const Target found = now.contains(page) ? now.at(page) : Target{};
			const Target before = model.contains(page) ? model.at(page) : Target{};
			const Target wanted = this->plain_walk(page * kPage).value_or(Target{});
			const bool inside = page * kPage >= first && page * kPage < first + size;
			const bool same = found == before;
			ASSERT_TRUE(found == wanted || (!inside && same))
				<< "page " << page << ", step " << step;
		}
		model = now;
	}
	EXPECT_GT(this->nested->statistics().mapped, 10000u);
}

} // namespace

} // namespace nested_test
