// SPDX-License-Identifier: GPL-2.0
//
// Large mappings, which several threads pin at one time.
#include "dma/shim/worker.h"
#include "type1_container.hpp"

namespace {

class Type1Workers : public Type1Test {
protected:
	// Enough for three threads, and for parts that do not end evenly.
	static constexpr u64 kMany = 3 * 32768 + 500;
	static constexpr u64 kAt = kUva + 37 * kPage;

	void SetUp() override
	{
		Type1Test::SetUp();
		mock::type1_params.pin_workers = 3;
		process.mm.map(kAt, kMany, kPfn);
		ASSERT_EQ(c.attach(group), 0);
	}

	void TearDown() override
	{
		process.task.fatal_signal = false;
		c.detach(group);
		c.close();
		Type1Test::TearDown();
	}

	long map()
	{
		return c.map(0, kAt, kMany * kPage);
	}

	void expect_nothing_left()
	{
		EXPECT_EQ(locked(), 0u);
		EXPECT_EQ(mock::phys::all_pins(), 0u);
		EXPECT_TRUE(group.domain->ptes.empty());
	}

	Container c;
	iommu_group group{&hardware};
};

TEST_F(Type1Workers, EachPageIsMappedOnceWhereItBelongs)
{
	// No two pages are neighbours, so that there is a run for each.
	process.mm.map(kAt, kMany, kPfn, true, mock::Kind::kOrdinary, 2);
	for (u32 workers : {1, 2, 3, 0, 100}) {
		mock::type1_params.pin_workers = workers;
		ASSERT_EQ(map(), 0);
		EXPECT_EQ(locked(), kMany);
		ASSERT_EQ(group.domain->ptes.size(), kMany);
		for (const auto &[iova, pte] : group.domain->ptes)
			ASSERT_EQ(pte.pfn, kPfn + 2 * (iova / kPage));
		ASSERT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
		expect_nothing_left();
	}
}

TEST_F(Type1Workers, RunsThatContinueAreOne)
{
	const u64 before = mock::live_bytes();

	ASSERT_EQ(map(), 0);
	const u64 parallel = mock::live_bytes() - before;
	ASSERT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));

	mock::type1_params.pin_workers = 1;
	ASSERT_EQ(map(), 0);
	EXPECT_EQ(mock::live_bytes() - before, parallel);
	ASSERT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
}

TEST_F(Type1Workers, WhatCannotBePinnedUndoesAll)
{
	for (u64 hole : {u64{0}, kMany / 2, kMany - 1}) {
		process.mm.unmap(kAt + hole * kPage, 1);
		EXPECT_EQ(map(), -EFAULT) << hole;
		expect_nothing_left();
		process.mm.map(kAt, kMany, kPfn);
	}
}

TEST_F(Type1Workers, TheLimitIsExact)
{
	process.task.ipc_lock = false;
	process.task.rlimit_pages = kMany - 1;
	EXPECT_EQ(map(), -ENOMEM);
	expect_nothing_left();
	process.task.rlimit_pages = kMany;
	EXPECT_EQ(map(), 0);
	EXPECT_EQ(locked(), kMany);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
}

TEST_F(Type1Workers, TheLimitIsLoggedOnce)
{
	process.task.ipc_lock = false;
	process.task.rlimit_pages = 5;
	mock::take_log();
	EXPECT_EQ(map(), -ENOMEM);
	EXPECT_EQ(mock::take_log(),
		  std::vector<std::string>{
			  "device: task process (77) cannot map " + std::to_string(kMany) +
			  " pages: over RLIMIT_MEMLOCK of 20480 bytes: error -12"});
	expect_nothing_left();
}

TEST_F(Type1Workers, AFatalSignalEndsIt)
{
	process.task.fatal_signal = true;
	EXPECT_EQ(map(), -EINTR);
	process.task.fatal_signal = false;
	expect_nothing_left();
}

TEST_F(Type1Workers, WithoutThreadsTheCallerDoesAll)
{
	for (u64 nth : {1, 2}) {
		mock::plan.fail(mock::Fail::kWorker, nth);
		EXPECT_EQ(map(), 0);
		EXPECT_TRUE(mock::plan.fired());
		mock::plan.reset();
		EXPECT_EQ(group.domain->ptes.size(), kMany);
		EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
	}
	// No more than two are asked for: the caller is the third.
	mock::plan.fail(mock::Fail::kWorker, 3);
	EXPECT_EQ(map(), 0);
	EXPECT_FALSE(mock::plan.fired());
	mock::plan.reset();
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
	expect_nothing_left();
}

TEST_F(Type1Workers, NoneForACallerWhoCannotBeStoodInFor)
{
	process.task.special = true;
	mock::plan.fail(mock::Fail::kWorker, 1);
	EXPECT_EQ(map(), 0);
	EXPECT_FALSE(mock::plan.fired());
	mock::plan.reset();
	EXPECT_EQ(locked(), kMany);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
	process.task.special = false;
}

TEST_F(Type1Workers, ProtectionKeysKeepNobodyOut)
{
	for (u64 closed : {u64{0}, u64{1}, kMany / 2, kMany - 1}) {
		process.mm.closed_from = kAt + closed * kPage;
		EXPECT_EQ(map(), 0) << closed;
		EXPECT_EQ(locked(), kMany);
		EXPECT_EQ(c.unmap_all(), static_cast<s64>(kMany * kPage));
		ASSERT_EQ(c.map(0, kAt + closed * kPage, kPage), 0) << "one page";
		EXPECT_EQ(c.unmap_all(), static_cast<s64>(kPage));
	}
	expect_nothing_left();
}

TEST_F(Type1Workers, AnyFailureUndoesAll)
{
	// Two runs a part, and so more than the one that needs no memory.
	process.mm.map(kAt + 20000 * kPage, kMany - 20000, 2 * kPfn);
	process.mm.map(kAt + 50000 * kPage, kMany - 50000, 3 * kPfn);
	process.mm.map(kAt + 80000 * kPage, kMany - 80000, 4 * kPfn);
	for (const mock::Fail kind :
	     {mock::Fail::kAlloc, mock::Fail::kPin, mock::Fail::kAccount, mock::Fail::kDomainMap}) {
		u64 nth = 1;

		for (;; nth = kind == mock::Fail::kAlloc ? nth + 1 : nth * 3) {
			mock::plan.fail(kind, nth);
			const long ret = map();
			const bool fired = mock::plan.fired();
			mock::plan.reset();

			// Without memory for a batch it goes page by page.
			EXPECT_TRUE(ret == 0 || (fired && ret < 0)) << ret;
			EXPECT_EQ(c.unmap_all(), ret == 0 ? static_cast<s64>(kMany * kPage) : 0);
			expect_nothing_left();
			if (!fired)
				break;
		}
		printf("%s: %llu points\n", mock::name_of(kind), nth - 1);
	}
}

} // namespace
