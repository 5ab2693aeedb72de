// SPDX-License-Identifier: GPL-2.0
//
// DomainSet alone: domains get the same mappings, and what they have in common.
#include <optional>

#include "dma_world.hpp"

using namespace vfio;

namespace dma_test {

namespace {

class DomainSetTest : public DmaTest {
protected:
	void TearDown() override
	{
		List<DmaRange> all;
		{
			const Guard guard(tree.lock);

			tree.list_all(all);
		}
		set.unmap(all);
		EXPECT_EQ(mock::phys::all_pins(), 0u);
		tree.remove(all);
		for (iommu_group *group : {&first, &second, &third})
			set.detach(group);
		set.drop_unused(tree);
		EXPECT_TRUE(set.empty());
		made_tree.reset();
		made_set.reset();
		DmaTest::TearDown();
	}

	Result<void> attach(iommu_group &group, const AttachPolicy &policy = {})
	{
		const Guard guard(tree.lock);

		return set.attach(&group, tree, policy);
	}

	// A mapping in the tree and, if there are domains, in these.
	DmaRange &map(u64 page, u64 npages, const MapPolicy &policy = {})
	{
		DmaRange &dma = make_range(page, npages);
		{
			const Guard guard(tree.lock);

			EXPECT_TRUE(tree.insert_busy(dma).ok());
		}
		if (!set.empty()) {
			EXPECT_TRUE(set.map(dma, policy).ok());
		}
		tree.settle(dma);
		return dma;
	}

	// The domain that a group is attached to has exactly these pages of kUva.
	static void expect_ptes(const iommu_group &group, const std::set<u64> &expected)
	{
		std::set<u64> found;

		ASSERT_NE(group.domain, nullptr);
		for (const auto &[iova, pte] : group.domain->ptes) {
			EXPECT_EQ(pte.pfn, kPfn + iova / kPage);
			found.insert(iova / kPage);
		}
		EXPECT_EQ(found, expected);
	}

	mock::Hardware other{.driver = 2, .family = 2};
	iommu_group first{&hardware, 1}, second{&hardware, 2}, third{&other, 3};
	std::optional<DmaTree> made_tree{std::in_place, 64};
	std::optional<DomainSet> made_set{std::in_place};
	DmaTree &tree = *made_tree;
	DomainSet &set = *made_set;
};

TEST_F(DomainSetTest, GroupsOfOneIommuShareADomain)
{
	ASSERT_TRUE(attach(first).ok());
	ASSERT_TRUE(attach(second).ok());
	ASSERT_TRUE(attach(third).ok());
	EXPECT_EQ(first.domain, second.domain);
	EXPECT_NE(first.domain, third.domain);
	EXPECT_EQ(set.domain_of(&second).value()->get(), first.domain);
	EXPECT_EQ(set.find(&third)->group, &third);

	EXPECT_TRUE(set.detach(&second));
	EXPECT_FALSE(set.detach(&second));
	EXPECT_EQ(set.domain_of(&second).error(), Error(ENODEV));
	EXPECT_EQ(set.find(&second), nullptr);
}

TEST_F(DomainSetTest, AllDomainsHaveAllMappings)
{
	map(0, 2);
	EXPECT_EQ(mock::phys::all_pins(), 0u) << "no domain needs its pages";
	ASSERT_TRUE(attach(first).ok());
	expect_ptes(first, {0, 1});
	EXPECT_EQ(process.mm.locked_vm, 2u);
	DmaRange &later = map(8, 1);
	ASSERT_TRUE(attach(third).ok());
	expect_ptes(third, {0, 1, 8});
	EXPECT_EQ(mock::phys::all_pins(), 3u) << "pages are pinned once for all domains";

	List<DmaRange> one;
	one.push_back(later);
	later.busy.store(true);
	set.unmap(one);
	tree.remove(one);
	expect_ptes(first, {0, 1});
	expect_ptes(third, {0, 1});

	set.detach(&first);
	set.drop_unused(tree);
	expect_ptes(third, {0, 1});
	EXPECT_EQ(mock::domain_count(), 1u);
}

TEST_F(DomainSetTest, AMappingThatOneIommuRefusesIsInNone)
{
	ASSERT_TRUE(attach(first).ok());
	ASSERT_TRUE(attach(third).ok());
	for (u64 nth = 1; nth <= 2; nth++) {
		UniquePtr<DmaRange> dma(&make_range(0, 4));
		{
			const Guard guard(tree.lock);

			ASSERT_TRUE(tree.insert_busy(*dma).ok());
		}
		mock::plan.fail(mock::Fail::kDomainMap, nth);
		EXPECT_FALSE(set.map(*dma, {}).ok());
		mock::plan.reset();
		EXPECT_FALSE(dma->iommu_mapped);
		expect_ptes(first, {});
		expect_ptes(third, {});
		EXPECT_EQ(mock::phys::all_pins(), 0u);

		const Guard guard(tree.lock);
		tree.take_back(*dma);
	}
}

TEST_F(DomainSetTest, AttachingThatFailsLeavesNothing)
{
	map(0, 2);
	map(4, 2);
	u64 nth = 1;

	for (;; nth++) {
		mock::plan.fail_nth(nth);
		const Result<void> attached = attach(first);
		const bool fired = mock::plan.fired();
		mock::plan.reset();
		if (attached.ok() && !fired)
			break;
		if (attached.ok()) {
			// What failed was not needed.
			set.detach(&first);
			List<DmaRange> all;
			{
				const Guard guard(tree.lock);

				tree.list_all(all);
			}
			set.unmap(all);
			while (DmaRange *dma = all.pop_front())
				dma->uncharge_to(0);
			set.drop_unused(tree);
		}
		EXPECT_TRUE(set.empty());
		EXPECT_EQ(mock::domain_count(), 0u);
		EXPECT_EQ(mock::phys::all_pins(), 0u);
		EXPECT_EQ(process.mm.locked_vm, 0u);
	}
	EXPECT_GT(nth, 5u);
	expect_ptes(first, {0, 1, 4, 5});
}

TEST_F(DomainSetTest, SpaceAndPageSizesAreWhatAllHaveInCommon)
{
	constexpr u64 kLast = (u64{1} << 40) - 1;

	other.aperture_last = kLast;
	other.pgsizes = u64{1} << 21;
	first.reserved.push_back({0x10000, 0x1ffff, SHIM_RESV_RESERVED});
	ASSERT_TRUE(attach(first).ok());
	EXPECT_FALSE(set.space().valid({{0x10000}, {0x10fff}}));
	EXPECT_EQ(set.page_shift(), 12u);
	ASSERT_TRUE(attach(third).ok());
	EXPECT_FALSE(set.space().valid({{0x10000}, {0x10fff}}));
	EXPECT_FALSE(set.space().valid({{kLast + 1}, {kLast + kPage}}));
	EXPECT_EQ(set.page_sizes(), u64{1} << 21);

	set.detach(&third);
	set.drop_unused(tree);
	EXPECT_TRUE(set.space().valid({{kLast + 1}, {kLast + kPage}}));
	EXPECT_FALSE(set.space().valid({{0x10000}, {0x10fff}}));
	EXPECT_EQ(set.page_shift(), 12u);
}

TEST_F(DomainSetTest, MappingsInTheWayAreRefused)
{
	map(16, 1);
	first.reserved.push_back({16 * kPage, 17 * kPage - 1, SHIM_RESV_RESERVED});
	EXPECT_EQ(attach(first).error(), Error(EINVAL));
	first.reserved[0].type = SHIM_RESV_DIRECT_RELAXABLE;
	EXPECT_TRUE(attach(first).ok());
	other.aperture_first = 17 * kPage;
	EXPECT_EQ(attach(third).error(), Error(EINVAL));
	expect_ptes(first, {16});
}

TEST_F(DomainSetTest, PolicyIsTheCallers)
{
	first.msi_isolated = false;
	EXPECT_EQ(attach(first).error(), Error(EPERM));
	ASSERT_TRUE(attach(first, {.nesting = true, .unsafe_interrupts = true, .map = {}}).ok());
	EXPECT_TRUE(first.domain->nesting);
	EXPECT_TRUE(set.can_nest());
	EXPECT_TRUE(set.coherent());

	const u64 before = first.domain->maps;
	map(0, 8);
	EXPECT_EQ(first.domain->maps - before, 1u);
	map(8, 8, {.small_pages = true, .workers = 0});
	EXPECT_EQ(first.domain->maps - before, 9u);
}

} // namespace

} // namespace dma_test
