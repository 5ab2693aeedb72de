// SPDX-License-Identifier: GPL-2.0
//
// Refreshes where interrupts are off and nothing can be waited for: they do what they may,
// and leave the rest to a caller who can wait. The mock reports every shim that sleeps.
#include "choices.hpp"
#include "nested_world.hpp"

namespace nested_test {

namespace {

constexpr u64 kIova = 0x1234'5000;
using Outcome = Refreshed::Outcome;

template <class Guest> class NestedAtomic : public NestedTest<Guest> {
protected:
	// Gives the guest memory; the domain has a reserve.
	void boot()
	{
		NestedTest<Guest>::boot();
		ASSERT_EQ(at_once(kIova, kPage), Outcome::kDeferred) << "without a reserve";
		ASSERT_TRUE(this->done(kIova, kPage));
	}

	Outcome at_once(u64 iova, u64 size)
	{
		return this->refresh_at_once(iova, size).outcome;
	}

	// What the hardware maps is what the table says.
	void expect_agreement()
	{
		for (const auto &[page, target] : this->mapped())
			EXPECT_EQ(this->plain_walk(page * kPage), target) << "page " << page;
	}
};

using Guests = testing::Types<S390Guest, VtdGuest<4>>;
TYPED_TEST_SUITE(NestedAtomic, Guests);

TYPED_TEST(NestedAtomic, NewPagesAreMapped)
{
	this->boot();
	this->map(kIova, 7 * kPage);
	EXPECT_EQ(this->at_once(kIova, kPage), Outcome::kDone);
	EXPECT_EQ(this->mapped(), (Targets{{kIova / kPage, {this->kPfn + 7, kReadWrite}}}));

	for (u64 i = 0; i < NestedDomain::kMostAtomicPages; i++)
		this->map(kIova + i * kPage, (7 + 3 * i) * kPage, i ? SHIM_IOMMU_READ : kReadWrite);
	EXPECT_EQ(this->at_once(kIova, NestedDomain::kMostAtomicPages * kPage), Outcome::kDone);
	EXPECT_EQ(this->mapped().size(), NestedDomain::kMostAtomicPages);
	this->expect_agreement();
	EXPECT_EQ(this->flushes(), 0u);
}

TYPED_TEST(NestedAtomic, MorePagesAreDeferred)
{
	this->boot();
	this->map(kIova, 7 * kPage);
	EXPECT_EQ(this->at_once(kIova, (NestedDomain::kMostAtomicPages + 1) * kPage),
		  Outcome::kDeferred);
	EXPECT_TRUE(this->mapped().empty());
}

TYPED_TEST(NestedAtomic, NothingIsUnmapped)
{
	this->boot();
	for (u64 i = 0; i < 4; i++)
		this->map(kIova + i * kPage, (7 + i) * kPage);
	ASSERT_TRUE(this->done(kIova, 4 * kPage));
	const Targets before = this->mapped();

	this->unmap(kIova + kPage);
	EXPECT_EQ(this->at_once(kIova, 4 * kPage), Outcome::kDeferred) << "invalid";
	EXPECT_EQ(this->mapped(), before);
	this->map(kIova + kPage, 9 * kPage);
	EXPECT_EQ(this->at_once(kIova, 4 * kPage), Outcome::kDeferred) << "another frame";
	this->map(kIova + kPage, 8 * kPage, SHIM_IOMMU_READ);
	EXPECT_EQ(this->at_once(kIova, 4 * kPage), Outcome::kDeferred) << "other access";
	EXPECT_EQ(this->mapped(), before);
	this->unmap(kIova, 1);
	EXPECT_EQ(this->at_once(kIova, kPage), Outcome::kDeferred) << "an invalid table";
	EXPECT_EQ(this->mapped(), before);
	EXPECT_EQ(this->group.domain->unmaps, 0u);

	ASSERT_TRUE(this->done(kIova, 4 * kPage));
	EXPECT_TRUE(this->mapped().empty());
	EXPECT_EQ(this->at_once(kIova, 4 * kPage), Outcome::kDone) << "nothing was mapped";
}

TYPED_TEST(NestedAtomic, FaultsAreTold)
{
	this->boot();
	this->map(kIova, 7 * kPage);
	this->map(kIova + kPage, this->kPages * kPage);
	const Refreshed result = this->refresh_at_once(kIova, 2 * kPage);
	EXPECT_EQ(result.outcome, Outcome::kFault);
	EXPECT_EQ(result.fault, WalkFault::kEntry);
	EXPECT_EQ(result.at.value, kIova + kPage);
	EXPECT_EQ(this->mapped().size(), 1u) << "what is before the fault is mapped";
}

// A part of a frame is mapped page by page. What the hardware may map by a page of its own
// size changes as a whole, which s390's frames are too small for.
TYPED_TEST(NestedAtomic, Frames)
{
	const u64 iova = 37 * TypeParam::kUnit;

	this->boot();
	this->map_frame(iova, 2 * TypeParam::kUnit);
	EXPECT_EQ(this->at_once(iova + 3 * kPage, 2 * kPage), Outcome::kDone);
	EXPECT_EQ(this->mapped().size(), 2u);
	this->expect_agreement();
	ASSERT_TRUE(this->done(iova, TypeParam::kUnit));
	EXPECT_EQ(this->at_once(iova + 3 * kPage, kPage),
		  TypeParam::kUnit < u64{2} << 20 ? Outcome::kDone : Outcome::kDeferred);
}

TYPED_TEST(NestedAtomic, ALockThatIsTaken)
{
	this->boot();
	this->map(kIova, 7 * kPage);
	{
		const WriteGuard guard(this->memory->lock);

		EXPECT_EQ(this->at_once(kIova, kPage), Outcome::kDeferred);
	}
	{
		const ReadGuard guard(this->memory->lock);

		EXPECT_EQ(this->at_once(kIova, kPage), Outcome::kDone) << "others look up, too";
	}
}

// Pages that nothing can be recorded of without memory: each in a slot of its own.
TYPED_TEST(NestedAtomic, TheReserveRunsOutAndIsFilled)
{
	const auto iova_of = [](u64 i) { return kIova + i * (u64{4} << 20); };
	u64 mapped = 0;

	this->boot();
	for (int round = 0; round < 3; round++) {
		const u64 before = mapped;

		for (;; mapped++) {
			ASSERT_LT(mapped, 500u);
			this->map(iova_of(mapped), 7 * kPage);
			if (this->at_once(iova_of(mapped), kPage) == Outcome::kDeferred)
				break;
		}
		EXPECT_GT(mapped, before);
		EXPECT_EQ(this->mapped().size(), mapped);
		this->expect_agreement();
		ASSERT_TRUE(this->done(iova_of(mapped), kPage));
		mapped++;
	}
}

// A domain that maps as many pages as it may is left to callers who can wait.
TYPED_TEST(NestedAtomic, TheIommuHasNoMemory)
{
	this->boot();
	this->map(kIova, 7 * kPage);
	this->map(kIova + kPage, 9 * kPage);
	mock::plan.fail(mock::Fail::kDomainMap, 2);
	EXPECT_EQ(this->at_once(kIova, 2 * kPage), Outcome::kDeferred);
	EXPECT_EQ(this->mapped().size(), 1u);
	EXPECT_EQ(this->at_once(kIova, 2 * kPage), Outcome::kDone);
	EXPECT_EQ(this->mapped().size(), 2u);
	this->expect_agreement();
}

// Any change, first without waiting. The IOMMU fails now and then.
TYPED_TEST(NestedAtomic, Random)
{
	constexpr u64 kWindow = u64{8} << 20;
	RandomChoices choices(this->random("NestedAtomicRandom"));
	const auto one_in = [&](u64 n) { return choices.below(n) == 0; };
	int done = 0, deferred = 0;

	this->boot();
	for (int step = 0; step < 20000; step++) {
		const u64 n = 1 + choices.below(NestedDomain::kMostAtomicPages);
		const u64 iova = choices.below(kWindow / kPage - n) * kPage;
		const u64 gpa = (1 + choices.below(2000)) * kPage;
		const bool straight = one_in(2);

		for (u64 i = 0; i < n; i++)
			if (one_in(4))
				this->unmap(iova + i * kPage);
			else
				this->map(iova + i * kPage,
					  straight ? gpa + i * kPage :
						     (1 + choices.below(2500)) * kPage);
		mock::plan.reset();
		if (one_in(4))
			mock::plan.fail(mock::Fail::kDomainMap, 1 + choices.below(n));
		const Outcome outcome = this->at_once(iova, n * kPage);
		mock::plan.reset();
		if (outcome == Outcome::kDone) {
			done++;
		} else {
			ASSERT_EQ(outcome, Outcome::kDeferred);
			deferred++;
			ASSERT_TRUE(this->done(iova, n * kPage));
		}
		if (one_in(50)) {
			// The guest begins anew.
			this->unmap(0, TypeParam::kTop);
			ASSERT_TRUE(this->done(0, kWindow));
			this->next_table = this->kTables * kPage;
			this->root = this->new_table(TypeParam::kTop);
		}
	}
	this->expect_agreement();
	EXPECT_GT(done, 1000);
	EXPECT_GT(deferred, 1000);
}

} // namespace

} // namespace nested_test
