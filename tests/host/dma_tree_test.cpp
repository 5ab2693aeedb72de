// SPDX-License-Identifier: GPL-2.0
//
// DmaTree alone: the life of mappings, who waits for whom, and the counts.
#include <atomic>
#include <optional>
#include <thread>

#include "dma_world.hpp"

using namespace vfio;

namespace dma_test {

namespace {

class DmaTreeTest : public DmaTest {
protected:
	static constexpr u32 kLimit = 8;

	void TearDown() override
	{
		take(kAllIova);
		EXPECT_EQ(available(), kLimit);
		made.reset();
		DmaTest::TearDown();
	}

	u32 available()
	{
		const Guard guard(tree.lock);

		return tree.available();
	}

	// Takes idle mappings in range out; returns their bytes.
	u64 take(IovaRange range)
	{
		List<DmaRange> dmas;
		{
			const Guard guard(tree.lock);

			EXPECT_TRUE(tree.list_idle(range, dmas).ok());
			DmaTree::make_busy(dmas);
		}
		return tree.remove(dmas);
	}

	// Runs body in a thread of the process, and checks that it has not ended
	// before release() has run.
	template <class Body, class Release> void waits(Body body, Release release)
	{
		std::atomic<bool> ended = false;
		std::thread thread([&] {
			const mock::As same(&process);

			body();
			ended = true;
		});

		std::this_thread::sleep_for(std::chrono::milliseconds(30));
		EXPECT_FALSE(ended);
		release();
		thread.join();
		EXPECT_TRUE(ended);
	}

	std::optional<DmaTree> made{std::in_place, kLimit};
	DmaTree &tree = *made;
};

TEST_F(DmaTreeTest, Counts)
{
	for (u32 i = 0; i < kLimit; i++)
		add(tree, i * 2, 1);
	EXPECT_EQ(available(), 0u);

	UniquePtr<DmaRange> one_more(&make_range(100, 1));
	{
		const Guard guard(tree.lock);

		EXPECT_EQ(tree.insert_busy(*one_more).error(), Error(ENOSPC));
		EXPECT_EQ(tree.find({100 * kPage}), nullptr);
	}
	EXPECT_EQ(take(pages(2, 3)), 2 * kPage) << "pages 2 and 4";
	EXPECT_EQ(available(), 2u);
	{
		const Guard guard(tree.lock);

		ASSERT_TRUE(tree.insert_busy(*one_more).ok());
		EXPECT_EQ(tree.available(), 1u);
		tree.take_back(*one_more);
		EXPECT_EQ(tree.available(), 2u);
		EXPECT_EQ(tree.find({100 * kPage}), nullptr);
	}
}

TEST_F(DmaTreeTest, OversizedMappingsAreCounted)
{
	constexpr u64 kMost = DirtyBitmap::kMaxBits;

	EXPECT_FALSE(DmaTree::oversized(pages(0, kMost)));
	EXPECT_TRUE(DmaTree::oversized(pages(0, kMost + 1)));
	add(tree, 0, kMost + 1);
	{
		const Guard guard(tree.lock);

		EXPECT_EQ(tree.oversized(), 1u);
	}
	take(kAllIova);

	const Guard guard(tree.lock);
	EXPECT_EQ(tree.oversized(), 0u);
}

TEST_F(DmaTreeTest, OverlapIsRefused)
{
	add(tree, 10, 10);
	for (const u64 first : {5, 10, 12, 19}) {
		UniquePtr<DmaRange> dma(&make_range(first, 6));
		const Guard guard(tree.lock);

		EXPECT_EQ(tree.insert_busy(*dma).error(), Error(EEXIST));
	}
	add(tree, 4, 6);
	add(tree, 20, 6);
	EXPECT_EQ(take(kAllIova), 22 * kPage);
}

TEST_F(DmaTreeTest, WhereMappingsLie)
{
	add(tree, 10, 10);
	add(tree, 20, 10);
	const Guard guard(tree.lock);

	EXPECT_TRUE(tree.all_inside(pages(10, 20)));
	EXPECT_FALSE(tree.all_inside(pages(11, 19)));
	EXPECT_FALSE(tree.all_inside(pages(10, 19)));
	EXPECT_FALSE(tree.bisects(pages(10, 20)).value());
	EXPECT_FALSE(tree.bisects(pages(0, 100)).value());
	EXPECT_FALSE(tree.bisects(pages(20, 10)).value());
	EXPECT_TRUE(tree.bisects(pages(15, 15)).value());
	EXPECT_TRUE(tree.bisects(pages(10, 15)).value());
	EXPECT_TRUE(tree.bisects(pages(12, 2)).value());
	EXPECT_EQ(tree.first_in(pages(0, 10)), nullptr);
	EXPECT_EQ(tree.next_in(*tree.first_in(kAllIova), pages(0, 20)), nullptr);
	EXPECT_EQ(tree.next_in(*tree.first_in(kAllIova), pages(0, 21)), tree.find({20 * kPage}));
}

TEST_F(DmaTreeTest, ABusyMappingIsWaitedFor)
{
	UniquePtr<DmaRange> second(&make_range(0, 2));
	DmaRange &first = make_range(0, 1);
	Result<void> inserted = Error(EIO);
	{
		const Guard guard(tree.lock);

		ASSERT_TRUE(tree.insert_busy(first).ok());
	}
	waits(
		[&] {
			const Guard guard(tree.lock);

			inserted = tree.insert_busy(*second);
		},
		[&] {
			List<DmaRange> failed;

			failed.push_back(first);
			tree.remove(failed);
		});
	ASSERT_TRUE(inserted.ok()) << "its place is free once the first has gone";
	tree.settle(*second.release());
}

TEST_F(DmaTreeTest, AHeldMappingStays)
{
	DmaRange &dma = add(tree, 0, 1);
	u64 removed = 0;
	{
		const Guard guard(tree.lock);

		EXPECT_EQ(tree.find_settled({kPage}).error(), Error(EINVAL));
		ASSERT_EQ(tree.find_settled({kPage - 1}).value(), &dma);
		DmaTree::hold(dma);
		ASSERT_TRUE(tree.wait_settled(kAllIova).ok()) << "it is not busy";
	}
	waits([&] { removed = take(kAllIova); },
	      [&] {
		      const Guard guard(tree.lock);

		      tree.let_go(dma);
	      });
	EXPECT_EQ(removed, kPage);
}

TEST_F(DmaTreeTest, AMappingThatStaysIsHeldByWhoHasWaited)
{
	DmaRange &dma = add(tree, 0, 1);
	List<DmaRange> dmas;
	{
		const Guard guard(tree.lock);

		ASSERT_EQ(tree.list_idle(kAllIova, dmas).value(), nullptr);
		DmaTree::make_busy(dmas);
	}
	waits(
		[&] {
			const Guard guard(tree.lock);

			ASSERT_EQ(tree.find_settled({0}).value(), &dma);
			DmaTree::hold(dma);
			tree.let_go(dma);
		},
		[&] {
			while (DmaRange *settled = dmas.pop_front())
				tree.settle(*settled);
		});
}

TEST_F(DmaTreeTest, AddressesBecomeInvalidAndValidAgain)
{
	constexpr u64 kElsewhere = kUva + 100 * kPage;
	DmaRange &dma = add(tree, 0, 1);
	mock::Process heir;
	RefPtr<Owner> owner;

	ASSERT_TRUE(dma.charge(1).ok());
	{
		const Guard guard(tree.lock);

		tree.invalidate_vaddr(dma);
		EXPECT_EQ(tree.vaddr_invalid(), 1u);
	}
	{
		const mock::As other(&heir);
		const Guard guard(tree.lock);

		heir.task.rlimit_pages = 0;
		EXPECT_EQ(tree.restore_vaddr(dma, {kElsewhere}, nullptr).error(), Error(ENOMEM));
		EXPECT_EQ(tree.vaddr_invalid(), 1u);
		heir.task.rlimit_pages = 1;
		ASSERT_TRUE(tree.restore_vaddr(dma, {kElsewhere}, nullptr).ok());
		EXPECT_EQ(tree.vaddr_invalid(), 0u);
	}
	EXPECT_EQ(dma.uva_of({0}), UserVa{kElsewhere});
	EXPECT_EQ(process.mm.locked_vm, 0u);
	EXPECT_EQ(heir.mm.locked_vm, 1u);
	EXPECT_EQ(take(kAllIova), kPage);
	EXPECT_EQ(heir.mm.locked_vm, 0u);
	EXPECT_EQ(heir.mm.grabs, 0) << "an empty tree remembers no other process";
}

TEST_F(DmaTreeTest, OwnersAreUnchargedWhenManyMappingsGo)
{
	constexpr u32 kMany = 100;
	DmaTree large(kMany);
	mock::Process second;

	second.mm.map(kUva, kPages, kPfn);
	for (u32 i = 0; i < kMany; i++) {
		// Mappings of the two processes take turns, in runs.
		const mock::As other(i % 7 < 3 ? &process : &second);

		EXPECT_TRUE(add(large, i, 1).charge(1).ok());
	}
	EXPECT_EQ(process.mm.locked_vm + second.mm.locked_vm, kMany);

	List<DmaRange> dmas;
	{
		const Guard guard(large.lock);

		large.list_all(dmas);
		DmaTree::make_busy(dmas);
	}
	EXPECT_EQ(large.remove(dmas), kMany * kPage);
	EXPECT_EQ(process.mm.locked_vm, 0u);
	EXPECT_EQ(second.mm.locked_vm, 0u);
}

} // namespace

} // namespace dma_test
