// SPDX-License-Identifier: GPL-2.0
//
// Flushes of the IOMMU: pages are flushed before they are unpinned, for which the
// mock looks at the block of each flush; and how many flushes there are.
#include "type1_container.hpp"

namespace {

class Type1Flush : public Type1Groups {
protected:
	void SetUp() override
	{
		Type1Groups::SetUp();
		ASSERT_EQ(c.attach(group), 0);
	}

	u64 flushes() const
	{
		return group.domain->flushes;
	}

	// Pages that are contiguous nowhere.
	static constexpr u64 kScatteredUva = 0x20'0000'0000;
	static constexpr u64 kFar = SHIM_MAX_FLUSH;
};

TEST_F(Type1Flush, OneOfAnUnmap)
{
	ASSERT_EQ(c.map(0x7000, uva(0), kPage), 0);
	ASSERT_EQ(c.unmap(0x7000, kPage), static_cast<s64>(kPage));
	EXPECT_EQ(flushes(), 1u);
	ASSERT_EQ(c.map(0x7000, uva(0), 1000 * kPage), 0);
	ASSERT_EQ(c.unmap(0x7000, 1000 * kPage), static_cast<s64>(1000 * kPage));
	EXPECT_EQ(flushes(), 2u);

	ASSERT_EQ(c.map(0x5000, uva(0), 3 * kPage), 0);
	ASSERT_EQ(c.map(0x8000, uva(3), kPage), 0);
	ASSERT_EQ(c.map(0x7'0000'0000, uva(4), 700 * kPage), 0);
	ASSERT_EQ(c.map(kFar - kPage, uva(1000), kPage), 0);
	ASSERT_EQ(c.unmap_all(), static_cast<s64>(705 * kPage));
	EXPECT_EQ(flushes(), 3u) << "whatever the number of mappings";
}

// Mappings that are far apart are not in one block of SHIM_MAX_FLUSH bytes.
TEST_F(Type1Flush, OneForEachFarBlock)
{
	ASSERT_EQ(c.map(0, uva(0), kPage), 0);
	ASSERT_EQ(c.map(kFar - kPage, uva(1), kPage), 0);
	ASSERT_EQ(c.map(kFar, uva(2), kPage), 0);
	ASSERT_EQ(c.map(3 * kFar + 5 * kPage, uva(3), kPage), 0);
	ASSERT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
	EXPECT_EQ(flushes(), 3u);

	ASSERT_EQ(c.map(2 * kFar - 2 * kPage, uva(0), 5 * kPage), 0);
	ASSERT_EQ(c.unmap_all(), static_cast<s64>(5 * kPage)) << "one mapping in two blocks";
	EXPECT_EQ(flushes(), 5u);
}

// An IOMMU that takes a mapping out whole says so for the first block, and that
// nothing is left for the next: all of it is unmapped, and nothing to warn of.
TEST_F(Type1Flush, OneMappingInTwoBlocksGoesAtOnce)
{
	hardware.unmaps_whole_calls = true;
	iommu_group whole{&hardware};
	Container other;

	ASSERT_EQ(other.attach(whole), 0);
	ASSERT_EQ(other.map(kFar - 2 * kPage, uva(0), 5 * kPage), 0);
	ASSERT_EQ(other.unmap_all(), static_cast<s64>(5 * kPage));
	EXPECT_EQ(mock::take_warnings(), std::vector<std::string>{});
	EXPECT_TRUE(whole.domain->stale.empty());
	other.detach(whole);
}

TEST_F(Type1Flush, LastAddressOfTheIommu)
{
	hardware.aperture_last = ~u64{0};
	iommu_group whole{&hardware};
	Container other;

	ASSERT_EQ(other.attach(whole), 0);
	ASSERT_EQ(other.map(~u64{0} - kPage + 1, uva(0), kPage), 0);
	ASSERT_EQ(other.map(~u64{0} - 9 * kPage + 1, uva(1), kPage), 0);
	ASSERT_EQ(other.unmap_all(), static_cast<s64>(2 * kPage));
	EXPECT_EQ(whole.domain->flushes, 1u);
	other.detach(whole);
}

// A mapping that fails in the middle.
TEST_F(Type1Flush, RollbackOfAMap)
{
	mock::Hardware second;
	iommu_group other(&second);

	second.driver = 2;
	process.mm.map(kScatteredUva, 1024, 0x20'0000, true, mock::Kind::kOrdinary, 2);
	ASSERT_EQ(c.attach(other), 0);
	for (u64 nth = 1;; nth++) {
		mock::plan.fail(mock::Fail::kDomainMap, nth);
		const long ret = c.map(0x3000, kScatteredUva, 1024 * kPage);

		EXPECT_EQ(locked(), ret ? 0u : 1024u);
		if (!ret) {
			EXPECT_GE(nth, 2 * 1024 / SHIM_MAX_RUNS) << "calls in both domains";
			break;
		}
		ASSERT_EQ(ret, -ENOMEM);
	}
	mock::plan.reset();
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(1024 * kPage));
	c.detach(other);
}

// A second IOMMU that cannot take all that is mapped.
TEST_F(Type1Flush, RollbackOfAnAttach)
{
	mock::Hardware second;
	iommu_group other(&second);

	second.driver = 2;
	for (u64 i = 0; i < 8; i++)
		ASSERT_EQ(c.map(0x3000 + i * 16 * kPage, uva(i * 4), 3 * kPage), 0);
	for (u64 nth = 1; nth <= 8; nth++) {
		mock::plan.fail(mock::Fail::kDomainMap, nth);
		EXPECT_EQ(c.attach(other), -ENOMEM);
	}
	ASSERT_EQ(c.attach(other), 0);
	EXPECT_EQ(ptes(other.domain), ptes(group.domain));
	c.detach(group);
	EXPECT_EQ(other.domain->ptes.size(), 24u);
	c.detach(other);
}

// The first IOMMU pins, and unpins what it cannot map.
TEST_F(Type1Flush, RollbackOfTheFirstAttach)
{
	Container fresh;
	iommu_group first(&hardware);

	ASSERT_EQ(fresh.attach(emulated, true), 0);
	for (u64 i = 0; i < 8; i++)
		ASSERT_EQ(fresh.map(0x3000 + i * 16 * kPage, uva(i * 4), 3 * kPage), 0);
	for (u64 nth = 1; nth <= 8; nth++) {
		mock::plan.fail(mock::Fail::kDomainMap, nth);
		EXPECT_EQ(fresh.attach(first), -ENOMEM);
		EXPECT_EQ(mock::phys::all_pins(), 0u);
		EXPECT_EQ(locked(), 0u);
	}
	ASSERT_EQ(fresh.attach(first), 0);
	fresh.detach(first);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	fresh.detach(emulated);
}

// Devices that pin one by one stay, and what they did not pin goes.
TEST_F(Type1Flush, DetachOfTheLastIommu)
{
	ASSERT_EQ(c.attach(emulated, true), 0);
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x100000, uva(8), 4 * kPage), 0);
	c.detach(group);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	c.detach(emulated);
}

TEST_F(Type1Flush, CloseWithMappings)
{
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x100000, uva(8), 4 * kPage), 0);
	c.detach(group);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
}

} // namespace
