// SPDX-License-Identifier: GPL-2.0
//
// Pages that a scheduler puts in the place of a user's: what the domains have then, what stays
// pinned, and that a failure loses nothing.
#include <thread>

#include "type1_container.hpp"
#include "vfio_cxx/remap.h"

namespace {

constexpr u64 kOthers = 0x5'0000, kOtherPages = 0x200, kMapped = 64, kBarAt = 0x7000'0000,
	      kBar = mock::kDevicePfn;

using Pages = std::vector<vfio_remap_page>;

class Type1Remap : public Type1Groups {
protected:
	void SetUp() override
	{
		Type1Groups::SetUp();
		// It is mapped again before it is flushed.
		hardware.unmaps_whole_pages = true;
		ASSERT_EQ(c.attach(group), 0);
		ASSERT_EQ(c.map(0, uva(0), kMapped * kPage), 0);
		before = ptes(group.domain);
		for (u64 i = 0; i < kOtherPages; i++)
			mock::phys::pin(kOthers + i);
	}

	void TearDown() override
	{
		(void)c.unmap_all();
		EXPECT_EQ(users_pins(), 0u);
		for (u64 i = 0; i < kOtherPages; i++)
			mock::phys::unpin(kOthers + i, false);
		Type1Groups::TearDown();
		c.close();
		mock::gates = {};
	}

	// Beside those of the others, which belong to the scheduler.
	static u64 users_pins()
	{
		return mock::phys::all_pins() - kOtherPages;
	}

	static Pages others(u64 page, u64 count, u64 pfn = kOthers)
	{
		Pages pages;

		for (u64 i = 0; i < count; i++)
			pages.push_back({(page + i) * kPage, (pfn + i) * kPage});
		return pages;
	}

	static Pages own(u64 page, u64 count)
	{
		Pages pages;

		for (u64 i = 0; i < count; i++)
			pages.push_back({(page + i) * kPage, VFIO_REMAP_USERS_PAGE});
		return pages;
	}

	long remap(const Pages &pages)
	{
		return type1_remap(c.get(), pages.data(), static_cast<u32>(pages.size()));
	}

	void flush()
	{
		type1_flush_remapped(c.get());
	}

	u64 at(u64 page, const iommu_group *in = nullptr)
	{
		const auto all = ptes((in ? in : &group)->domain);

		return all.contains(page * kPage) ? all.at(page * kPage) : 0;
	}

	std::map<u64, u64> before;
};

TEST_F(Type1Remap, OtherPagesAreReachedUntilTheUsersArePutBack)
{
	const u64 flushes = group.domain->flushes;

	EXPECT_EQ(remap(others(3, 2)), 2);
	EXPECT_EQ(at(2), kPfn + 2);
	EXPECT_EQ(at(3), kOthers);
	EXPECT_EQ(at(4), kOthers + 1);
	EXPECT_EQ(at(5), kPfn + 5);
	EXPECT_EQ(users_pins(), kMapped);
	EXPECT_EQ(locked(), kMapped);
	EXPECT_EQ(group.domain->flushes, flushes);
	flush();
	EXPECT_EQ(group.domain->flushes, flushes + 1);
	flush();
	EXPECT_EQ(group.domain->flushes, flushes + 1) << "nothing to flush";
	EXPECT_EQ(remap(own(3, 2)), 2);
	EXPECT_EQ(ptes(group.domain), before);
	EXPECT_EQ(remap(others(0, kMapped)), static_cast<long>(kMapped));
	EXPECT_EQ(remap(others(7, 1, kOthers + 0x100)), 1) << "one of a larger piece";
	EXPECT_EQ(at(6), kOthers + 6);
	EXPECT_EQ(at(7), kOthers + 0x100);
	EXPECT_EQ(at(8), kOthers + 8);
	EXPECT_EQ(remap(own(0, kMapped)), static_cast<long>(kMapped));
	EXPECT_EQ(ptes(group.domain), before);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMapped * kPage)) << "before a flush";
	EXPECT_EQ(users_pins(), 0u);
	flush();
}

TEST_F(Type1Remap, ABatchNeedsNotAscend)
{
	Pages pages{{9 * kPage, (kOthers + 9) * kPage},
		    {2 * kPage, (kOthers + 2) * kPage},
		    {3 * kPage, (kOthers + 7) * kPage},
		    {63 * kPage, (kOthers + 1) * kPage}};

	ASSERT_EQ(c.map(kMapped * kPage, uva(100), kPage), 0);
	pages.push_back({kMapped * kPage, kOthers * kPage});
	EXPECT_EQ(remap(pages), 5);
	for (const vfio_remap_page &page : pages)
		EXPECT_EQ(at(page.iova / kPage), page.phys / kPage);
	EXPECT_EQ(remap(others(8, 100)), 57) << "to the end of what is mapped";
}

TEST_F(Type1Remap, WrongAddressesAreRefused)
{
	EXPECT_EQ(remap(others(kMapped, 1)), -EINVAL) << "not mapped";
	EXPECT_EQ(remap({{kPage + 8, kOthers * kPage}}), -EINVAL);
	EXPECT_EQ(remap({{kPage, kOthers * kPage + 8}}), -EINVAL);
	EXPECT_EQ(remap({{kPage, kOthers * kPage}, {2 * kPage, 8}}), 1);
	EXPECT_EQ(at(1), kOthers);
	EXPECT_EQ(at(2), kPfn + 2);
	c.detach(group);
	attach_emulated();
	ASSERT_EQ(c.map(0, uva(0), kPage), 0);
	EXPECT_EQ(remap(others(0, 1)), -EINVAL) << "there is no hardware";
}

TEST_F(Type1Remap, AllDomainsHaveTheSame)
{
	mock::Hardware second;
	second.driver = 2;
	second.unmaps_whole_pages = true;
	iommu_group early(&second, 1), late(&second, 2);

	ASSERT_EQ(c.attach(early), 0);
	ASSERT_EQ(remap(others(5, 3)), 3);
	ASSERT_EQ(remap(own(6, 1)), 1);
	EXPECT_EQ(ptes(early.domain), ptes(group.domain));
	c.detach(early);
	ASSERT_EQ(c.attach(late), 0);
	EXPECT_EQ(ptes(late.domain), ptes(group.domain)) << "it joined later";
	ASSERT_EQ(remap(own(5, 3)), 3);
	EXPECT_EQ(ptes(late.domain), before);
	c.detach(group);
	ASSERT_EQ(remap(others(5, 3)), 3);
	flush();
	c.detach(late);
	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.map(0, uva(0), kMapped * kPage), 0);
	EXPECT_EQ(ptes(group.domain), before) << "mapped anew";
}

TEST_F(Type1Remap, AMappingWithoutHardwareForgets)
{
	attach_emulated();
	ASSERT_EQ(remap(others(5, 3)), 3);
	c.detach(group);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(ptes(group.domain), before);
}

TEST_F(Type1Remap, AFailureLosesNothing)
{
	mock::Hardware second;
	second.driver = 2;
	second.unmaps_whole_pages = true;
	iommu_group late(&second, 1);

	ASSERT_EQ(c.attach(late), 0);
	Pages pages = others(20, 3);
	pages[1].phys = (kOthers + 0x100) * kPage;
	pages.push_back({40 * kPage, kOthers * kPage});
	for (const auto kind : {mock::Fail::kDomainMap, mock::Fail::kAlloc}) {
		for (u64 nth = 1;; nth++) {
			mock::plan.fail(kind, nth);
			const long done = remap(pages);
			const bool hit = mock::plan.fired();

			mock::plan.reset();
			EXPECT_EQ(ptes(late.domain), ptes(group.domain));
			if (done == -ENOMEM) {
				EXPECT_EQ(ptes(group.domain), before);
			} else {
				EXPECT_TRUE(done == 3 || done == 4) << done;
				EXPECT_EQ(at(20), kOthers);
				EXPECT_EQ(at(21), kOthers + 0x100);
				EXPECT_EQ(at(40), done == 4 ? kOthers : kPfn + 40);
				EXPECT_EQ(remap(own(20, 3)), 3);
				EXPECT_EQ(remap(own(40, 1)), 1);
			}
			EXPECT_EQ(ptes(group.domain), before);
			if (!hit)
				break;
		}
	}
	flush();
	c.detach(late);
}

// The IOMMU has no memory to map the new page, nor to put back what was there.
TEST_F(Type1Remap, WhatCannotBePutBackIsRefusedUntilItIsRemapped)
{
	const auto fail = [this] {
		ASSERT_EQ(remap(own(20, 1)), 1);
		mock::plan.fail(mock::Fail::kDomainMap, 1);
		mock::plan.fail_nth(2);
		EXPECT_EQ(remap(others(20, 1)), -ENOMEM);
		mock::plan.reset();
		EXPECT_EQ(at(20), 0u);
	};

	fail();
	EXPECT_EQ(remap(own(0, kMapped)), static_cast<long>(kMapped));
	EXPECT_EQ(ptes(group.domain), before);
	fail();
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMapped * kPage));
}

TEST_F(Type1Remap, UsersPagesArePutBackAtTheEnd)
{
	ASSERT_EQ(c.map(kMapped * kPage, uva(100), 100 * kPage), 0);
	const auto all = ptes(group.domain);

	ASSERT_EQ(remap(others(3, 2)), 2);
	ASSERT_EQ(remap(others(kMapped - 1, 100)), 100);
	ASSERT_EQ(remap(others(kMapped + 99, 1)), 1);
	type1_put_users_back(c.get());
	EXPECT_EQ(ptes(group.domain), all);
	EXPECT_TRUE(group.domain->stale.empty()) << "flushed";
	ASSERT_EQ(remap(others(3, 2)), 2);
	mock::plan.fail(mock::Fail::kDomainMap, 1);
	type1_put_users_back(c.get());
	mock::plan.reset();
	EXPECT_EQ(at(3), 0u) << "rather none than the scheduler's";
	EXPECT_TRUE(group.domain->stale.empty());
	EXPECT_EQ(remap(own(3, 2)), 2);
	EXPECT_EQ(ptes(group.domain), all);
}

TEST_F(Type1Remap, FramesOfGatedDevicesAreTakenOut)
{
	process.mm.map(kBarAt, 4, kBar, true, mock::Kind::kBar);
	ASSERT_EQ(remap(others(20, 4, kBar)), 4);
	ASSERT_EQ(mock::gates.listeners.size(), 1u);
	EXPECT_EQ(at(21), kBar + 1);
	mock::gates.shut = {{kBar, kBar + 3}};
	EXPECT_EQ(mock::gates.changed(), 0);
	EXPECT_EQ(at(21), 0u);
	EXPECT_EQ(at(24), kPfn + 24);
	ASSERT_EQ(remap(own(20, 1)), 1);
	ASSERT_EQ(remap(others(30, 1, kBar)), 1) << "recorded";
	EXPECT_EQ(at(30), 0u);
	mock::gates.shut.clear();
	EXPECT_EQ(mock::gates.changed(), 0);
	EXPECT_EQ(at(20), kPfn + 20);
	EXPECT_EQ(at(21), kBar + 1);
	EXPECT_EQ(at(30), kBar);
	ASSERT_EQ(remap(own(0, kMapped)), static_cast<long>(kMapped));
	EXPECT_EQ(ptes(group.domain), before);

	ASSERT_EQ(c.map(kMapped * kPage, kBarAt, 4 * kPage), 0);
	ASSERT_EQ(remap(others(kMapped + 1, 1)), 1) << "in the place of a frame";
	mock::gates.shut = {{kBar, kBar + 3}};
	EXPECT_EQ(mock::gates.changed(), 0);
	EXPECT_EQ(at(kMapped), 0u);
	EXPECT_EQ(at(kMapped + 1), kOthers);
	ASSERT_EQ(remap(own(kMapped + 1, 1)), 1);
	EXPECT_EQ(at(kMapped + 1), 0u);
	mock::gates.shut.clear();
	EXPECT_EQ(mock::gates.changed(), 0);
	EXPECT_EQ(at(kMapped + 1), kBar + 1);
	mock::gates.shut = {{kBar, kBar + 3}};
	EXPECT_EQ(mock::gates.changed(), 0);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>((kMapped + 4) * kPage));
}

TEST_F(Type1Remap, AUsersPageIsFlushedBeforeItIsUnpinnedThoughNothingIsInItsPlace)
{
	process.mm.map(kBarAt, 4, kBar, true, mock::Kind::kBar);
	mock::gates.shut = {{kBar, kBar + 3}};
	ASSERT_EQ(remap(others(5, 1, kBar)), 1);
	EXPECT_EQ(at(5), 0u);
	const u64 flushes = group.domain->flushes;
	EXPECT_EQ(c.unmap(0, kMapped * kPage), static_cast<s64>(kMapped * kPage));
	EXPECT_GT(group.domain->flushes, flushes);
	EXPECT_TRUE(group.domain->stale.empty()) << "devices reach none of it";
	ASSERT_EQ(c.map(0, uva(0), kPage), 0);
	ASSERT_EQ(remap(others(0, 1, kBar)), 1) << "the only page";
	EXPECT_EQ(c.unmap(0, kPage), static_cast<s64>(kPage));
	EXPECT_TRUE(group.domain->stale.empty());
}

TEST_F(Type1Remap, UsersMapAndUnmapMeanwhile)
{
	std::thread user([&] {
		mock::As as{&process};

		for (u64 i = 0; i < 300; i++) {
			EXPECT_EQ(c.map(0x100'0000, uva(100), 8 * kPage), 0);
			EXPECT_EQ(c.unmap(0x100'0000, 8 * kPage), static_cast<s64>(8 * kPage));
		}
	});
	const u64 theirs = 0x100'0000 / kPage;

	for (int i = 0; i < 300; i++) {
		const long done = remap(others(theirs, 8));

		EXPECT_TRUE(done == 8 || done == -EINVAL || done == -EAGAIN) << done;
		(void)remap(others(0, 8));
		(void)remap(own(0, 8));
		flush();
	}
	user.join();
	while (remap(own(0, 8)) == -EAGAIN)
		;
	EXPECT_EQ(ptes(group.domain), before);
}

} // namespace
