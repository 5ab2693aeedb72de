// SPDX-License-Identifier: GPL-2.0
//
// Frames of gated devices in the domains of a container: taken out and put back as vfio.ko says.
#include "type1_container.hpp"

namespace {

constexpr u64 kAt = 0x7000'0000, kBar = mock::kDevicePfn, kLast = 9;

// A container with a group, and with a page, 4 frames of a window, 4 of another, and a page.
class Type1Frames : public Type1Groups {
protected:
	void SetUp() override
	{
		Type1Groups::SetUp();
		process.mm.map(kAt, 1, 0x100);
		process.mm.map(kAt + kPage, 4, kBar, true, mock::Kind::kBar);
		process.mm.map(kAt + 5 * kPage, 4, kBar + 0x100, true, mock::Kind::kBar);
		process.mm.map(kAt + 9 * kPage, 1, 0x200);
		ASSERT_EQ(c.attach(group), 0);
	}

	void TearDown() override
	{
		Type1Groups::TearDown();
		c.close();
		EXPECT_TRUE(mock::gates.listeners.empty());
		mock::gates = {};
	}

	void shut(bool first)
	{
		if (first)
			mock::gates.shut = {{kBar, kBar + 3}};
		else
			mock::gates.shut.clear();
	}

	int change(bool first)
	{
		shut(first);
		return mock::gates.changed();
	}

	size_t mapped(const iommu_group &in) const
	{
		return ptes(in.domain).size();
	}

	long map_all()
	{
		return c.map(0, kAt, (kLast + 1) * kPage);
	}
};

TEST_F(Type1Frames, AreTakenOutAndPutBack)
{
	ASSERT_EQ(c.map(0x100000, uva(0), kPage), 0);
	EXPECT_TRUE(mock::gates.listeners.empty()) << "it has no such memory";
	ASSERT_EQ(map_all(), 0);
	ASSERT_EQ(mock::gates.listeners.size(), 1u);
	const auto whole = ptes(group.domain);
	const u64 flushes = group.domain->flushes;

	EXPECT_EQ(change(true), 0);
	EXPECT_EQ(group.domain->flushes, flushes + 1);
	EXPECT_EQ(mapped(group), whole.size() - 4);
	EXPECT_FALSE(ptes(group.domain).contains(kPage));
	EXPECT_TRUE(ptes(group.domain).contains(5 * kPage)) << "another device's";
	EXPECT_EQ(change(true), 0) << "again";
	EXPECT_EQ(change(false), 0);
	EXPECT_EQ(ptes(group.domain), whole);
	EXPECT_EQ(change(true), 0);
	EXPECT_EQ(c.unmap(0, (kLast + 1) * kPage), static_cast<s64>((kLast + 1) * kPage));
	EXPECT_EQ(change(false), 0);
	EXPECT_EQ(mapped(group), 1u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kPage));
}

TEST_F(Type1Frames, AreMappedLaterIfTheyAreShut)
{
	for (const bool small : {false, true}) {
		mock::type1_params.disable_hugepages = small;
		shut(true);
		ASSERT_EQ(map_all(), 0);
		EXPECT_EQ(mapped(group), kLast + 1 - 4);
		EXPECT_EQ(change(false), 0);
		EXPECT_EQ(mapped(group), kLast + 1);
		EXPECT_EQ(c.unmap_all(), static_cast<s64>((kLast + 1) * kPage));
	}
	mock::type1_params.disable_hugepages = false;
}

TEST_F(Type1Frames, AllDomainsHaveTheSame)
{
	mock::Hardware other;
	other.driver = 2;
	iommu_group late(&other, 1);

	ASSERT_EQ(map_all(), 0);
	ASSERT_EQ(change(true), 0);
	ASSERT_EQ(c.attach(late), 0);
	EXPECT_EQ(ptes(late.domain), ptes(group.domain)) << "replayed without what is shut";
	ASSERT_EQ(change(false), 0);
	EXPECT_EQ(mapped(late), kLast + 1);
	EXPECT_EQ(ptes(late.domain), ptes(group.domain));
	ASSERT_EQ(change(true), 0);
	c.detach(group);
	EXPECT_EQ(change(false), 0);
	EXPECT_EQ(mapped(late), kLast + 1);
	c.detach(late);
	ASSERT_EQ(c.attach(group), 0);
}

TEST_F(Type1Frames, ContainersWithoutHardwareGetThemWithIt)
{
	c.detach(group);
	attach_emulated();
	ASSERT_EQ(map_all(), 0);
	EXPECT_TRUE(mock::gates.listeners.empty());
	shut(true);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(mapped(group), kLast + 1 - 4);
	ASSERT_EQ(change(false), 0);
	EXPECT_EQ(mapped(group), kLast + 1);
	ASSERT_EQ(change(true), 0);
	c.detach(group);
	ASSERT_EQ(change(false), 0);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(mapped(group), kLast + 1);
}

TEST_F(Type1Frames, MappingThatFailsIsUndone)
{
	mock::Hardware other;
	other.driver = 2;
	iommu_group late(&other, 1);

	for (const bool first : {false, true}) {
		u64 failures = 0;

		for (u64 nth = 1;; nth++) {
			shut(first);
			mock::plan.fail(mock::Fail::kDomainMap, nth);
			const long ret = map_all();
			const bool hit = mock::plan.fired();

			mock::plan.reset();
			if (!hit) {
				EXPECT_EQ(ret, 0);
				break;
			}
			failures++;
			EXPECT_EQ(ret, -ENOMEM);
			EXPECT_EQ(mapped(group), 0u);
			EXPECT_EQ(mock::phys::all_pins(), 0u);
		}
		EXPECT_GE(failures, 3u);
		for (u64 nth = 1;; nth++) {
			mock::plan.fail(mock::Fail::kDomainMap, nth);
			const int ret = c.attach(late);
			const bool hit = mock::plan.fired();

			mock::plan.reset();
			if (!hit) {
				EXPECT_EQ(ret, 0);
				break;
			}
			EXPECT_EQ(ret, -ENOMEM);
		}
		ASSERT_EQ(change(true), 0);
		for (u64 nth = 1; nth <= 2; nth++) {
			shut(false);
			mock::plan.fail(mock::Fail::kDomainMap, nth);
			EXPECT_EQ(mock::gates.changed(), -ENOMEM);
			mock::plan.reset();
			EXPECT_EQ(change(true), 0) << "as before";
			EXPECT_EQ(mapped(group), kLast + 1 - 4);
			EXPECT_EQ(mapped(late), kLast + 1 - 4);
		}
		EXPECT_EQ(change(false), 0);
		EXPECT_EQ(mapped(late), kLast + 1);
		c.detach(late);
		EXPECT_EQ(c.unmap_all(), static_cast<s64>((kLast + 1) * kPage));
	}
}

TEST_F(Type1Frames, TheKernelsVfioHasNone)
{
	mock::gates.absent = true;
	shut(true);
	ASSERT_EQ(map_all(), 0);
	EXPECT_EQ(mapped(group), kLast + 1);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>((kLast + 1) * kPage));
}

} // namespace
