// SPDX-License-Identifier: GPL-2.0
//
// The parts of type1 on their own: runs of pins, dirty bitmaps, IOVA windows,
// owners, and what a dma range charges.
#include "dma/dirty_bitmap.hpp"
#include "dma/dma_range.hpp"
#include "dma/iova_space.hpp"
#include "dma/pin_runs.hpp"
#include "dma/pinner.hpp"
#include "dma_steps.hpp"
#include "type1_container.hpp"

using namespace vfio;

namespace {

class Type1Class : public Type1Test {
protected:
	using Run = std::pair<u64, u64>; // pfn, npages

	static std::vector<Run> runs_of(const PinRuns &runs)
	{
		std::vector<Run> result;

		runs.each([&](const PinRun &run) {
			result.emplace_back(run.first().value, run.npages());
		});
		return result;
	}

	static RefPtr<Owner> owner_of_caller()
	{
		RefPtr<Owner> owner;

		EXPECT_TRUE(Owner::of_caller(owner).ok());
		return owner;
	}

	static PinRun counted(u64 pfn, u64 npages)
	{
		return PinRun({pfn}, npages, PinKind::kCounted);
	}
};

TEST_F(Type1Class, PinRunsExtend)
{
	PinRuns runs;

	EXPECT_TRUE(runs.empty());
	EXPECT_EQ(runs_of(runs), std::vector<Run>{});
	ASSERT_TRUE(runs.append(counted(10, 2)).ok());
	ASSERT_TRUE(runs.append(counted(12, 3)).ok());
	EXPECT_EQ(mock::live_blocks(), 0) << "one run needs no memory";
	ASSERT_TRUE(runs.append(counted(14, 1)).ok()) << "overlap is no continuation";
	ASSERT_TRUE(runs.append(counted(13, 1)).ok()) << "nor is downwards";
	ASSERT_TRUE(runs.append(PinRun({14}, 1, PinKind::kReserved)).ok());
	ASSERT_TRUE(runs.append(PinRun({15}, 1, PinKind::kReserved)).ok());
	ASSERT_TRUE(runs.append(PinRun({16}, 1, PinKind::kBorrowed)).ok());
	EXPECT_EQ(runs_of(runs), (std::vector<Run>{{10, 5}, {14, 1}, {13, 1}, {14, 2}, {16, 1}}));
	runs.clear();
	EXPECT_TRUE(runs.empty());
	EXPECT_EQ(mock::live_blocks(), 0);
	ASSERT_TRUE(runs.append(counted(1, 1)).ok());
	EXPECT_EQ(runs_of(runs), (std::vector<Run>{{1, 1}}));
}

TEST_F(Type1Class, PinRunKinds)
{
	constexpr u64 kHighPfn = (u64{1} << 52) - 1;
	const PinRun run({kHighPfn}, 1, PinKind::kBorrowed);

	EXPECT_EQ(run.first().value, kHighPfn);
	EXPECT_EQ(run.kind(), PinKind::kBorrowed);
	EXPECT_FALSE(run.pinned());
	EXPECT_TRUE(PinRun({0}, 1, PinKind::kReserved).pinned());
	EXPECT_TRUE(PinRun({0}, 1, PinKind::kCounted).pinned());
	PinRun empty;
	EXPECT_FALSE(empty.extend(counted(0, 1)));
}

TEST_F(Type1Class, PinRunsGrow)
{
	constexpr u64 kRuns = 20'000;
	PinRuns runs;
	std::vector<Run> expected;

	for (u64 i = 0; i < kRuns; i++) {
		ASSERT_TRUE(runs.append(counted(i * 2, 1)).ok());
		expected.emplace_back(i * 2, 1);
	}
	EXPECT_EQ(runs_of(runs), expected);
	EXPECT_LE(mock::live_bytes(), static_cast<s64>(kRuns * 17)) << "16 bytes a run, and chunks";
}

TEST_F(Type1Class, PinRunsOutOfMemory)
{
	PinRuns runs;
	u64 failures = 0;
	std::vector<Run> expected;

	// Each append that needs a chunk fails once, and works when repeated.
	for (u64 i = 0; i < 2000; i++) {
		mock::plan.fail(mock::Fail::kAlloc);
		const Result<void> result = runs.append(counted(i * 2, 1));

		if (!result.ok()) {
			EXPECT_EQ(result.error(), Error(ENOMEM));
			ASSERT_EQ(runs_of(runs), expected);
			failures++;
			ASSERT_TRUE(runs.append(counted(i * 2, 1)).ok());
		}
		mock::plan.reset();
		expected.emplace_back(i * 2, 1);
	}
	EXPECT_EQ(runs_of(runs), expected);
	EXPECT_GE(failures, 8u);
}

TEST_F(Type1Class, TryEachArrayStopsAtAnError)
{
	PinRuns runs;
	u32 visited = 0;

	for (u64 i = 0; i < 100; i++)
		ASSERT_TRUE(runs.append(counted(i * 2, 1)).ok());
	EXPECT_EQ(runs.try_each_array([&](const PinRun *, u32 count) -> Result<void> {
			      visited += count;
			      return visited > 1 ? Error(EIO) : Result<void>();
		      }).error(),
		  Error(EIO));
	EXPECT_GT(visited, 1u);
	EXPECT_LT(visited, 100u);
}

// Bits [first, first + nbits) of a bitmap, as a list of bools.
std::vector<bool> bits_of(const DirtyBitmap &bitmap, u64 first, u64 nbits, u64 shift)
{
	std::vector<u64> words(DirtyBitmap::words_for(shift + nbits) + 1);
	std::vector<bool> bits(nbits);

	bitmap.collect(first, nbits, words.data(), shift);
	for (u64 i = 0; i < words.size() * 64; i++) {
		const bool bit = words[i / 64] >> i % 64 & 1;

		if (i >= shift && i < shift + nbits)
			bits[i - shift] = bit;
		else
			EXPECT_FALSE(bit) << "stray bit " << i;
	}
	return bits;
}

TEST_F(Type1Class, DirtyBitmapAgainstAModel)
{
	RandomChoices choices(random("DirtyBitmapAgainstAModel"));

	for (const u64 nbits : {u64{1}, u64{63}, u64{64}, u64{65}, u64{1000}}) {
		DirtyBitmapSteps steps(choices, nbits);

		steps.reserve();
		for (int step = 0; step < 2000 && !HasFailure(); step++)
			steps.step();
	}
}

TEST_F(Type1Class, DirtyBitmapLimits)
{
	DirtyBitmap bitmap;

	mock::plan.fail(mock::Fail::kVAlloc);
	EXPECT_EQ(bitmap.reserve(64).error(), Error(ENOMEM));
	EXPECT_TRUE(bitmap.empty());
	bitmap.set(3, 1);
	ASSERT_TRUE(bitmap.reserve(100).ok());
	EXPECT_EQ(bits_of(bitmap, 0, 100, 0), std::vector<bool>(100));
	bitmap.set(3, 1);
	ASSERT_TRUE(bitmap.reserve(100).ok()) << "again changes nothing";
	EXPECT_TRUE(bits_of(bitmap, 3, 1, 0)[0]);
	bitmap.set(kU64Max, 1);
	bitmap.clear(kU64Max, 1);
	bitmap.set(99, kU64Max - 98);
	EXPECT_TRUE(bits_of(bitmap, 99, 1, 0)[0]);
	EXPECT_EQ(bits_of(bitmap, 100, 20, 0), std::vector<bool>(20)) << "past the end";
	bitmap.release();
	EXPECT_EQ(mock::live_blocks(), 0);
}

TEST_F(Type1Class, IovaSpaceAgainstBruteForce)
{
	RandomChoices choices(random("IovaSpaceAgainstBruteForce"));

	for (int round = 0; round < 5000 && !HasFailure(); round++) {
		IovaSpaceSteps steps(choices, choices.flag());

		while (steps.step()) {}
	}
}

TEST_F(Type1Class, IovaSpaceEdges)
{
	IovaSpace space;

	EXPECT_TRUE(space.valid(kAllIova));
	EXPECT_EQ(space.span(), kAllIova);
	ASSERT_TRUE(space.restrict_to(kAllIova).ok());
	EXPECT_TRUE(space.valid(kAllIova));
	ASSERT_TRUE(space.exclude({{0}, {0}}).ok());
	ASSERT_TRUE(space.exclude({{kU64Max}, {kU64Max}}).ok());
	EXPECT_EQ(space.span(), (IovaRange{{1}, {kU64Max - 1}}));
	EXPECT_FALSE(space.valid({{0}, {0}}));
	EXPECT_FALSE(space.valid({{5}, {kU64Max}}));
	EXPECT_EQ(space.exclude(kAllIova).error(), Error(EINVAL));

	IovaSpace split;
	ASSERT_TRUE(split.restrict_to({{0}, {100}}).ok());
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(split.exclude({{50}, {60}}).error(), Error(ENOMEM));
	EXPECT_TRUE(split.valid({{0}, {100}})) << "nothing happened";
}

TEST_F(Type1Class, DmaRangeCharges)
{
	DmaRange dma(IovaRange{{0}, {10 * kPage - 1}}, {kUva}, SHIM_IOMMU_READ);

	dma.set_owner(owner_of_caller());

	EXPECT_EQ(process.mm.grabs, 1);
	EXPECT_EQ(process.task.refs, 1);
	EXPECT_TRUE(dma.readable());
	EXPECT_FALSE(dma.writable());
	EXPECT_EQ(dma.uva_of({3 * kPage}).value, kUva + 3 * kPage);
	ASSERT_TRUE(dma.charge(5).ok());
	ASSERT_TRUE(dma.charge(0).ok());
	EXPECT_EQ(locked(), 5u);
	process.task.rlimit_pages = 6;
	EXPECT_EQ(dma.charge(2).error(), Error(ENOMEM));
	EXPECT_EQ(dma.charged(), 5u);
	dma.uncharge_to(6);
	EXPECT_EQ(locked(), 5u) << "no more are charged";
	dma.uncharge_to(2);
	EXPECT_EQ(locked(), 2u);

	// Another process takes over; over its limit all stays as it was.
	mock::Process heir;
	{
		const mock::As as_heir(&heir);
		heir.task.rlimit_pages = 1;
		EXPECT_EQ(dma.change_owner(owner_of_caller(), {0x5000}).error(), Error(ENOMEM));
		EXPECT_EQ(dma.uva_of({0}).value, kUva);
		EXPECT_EQ(locked(), 2u);
		heir.task.rlimit_pages = 2;
		ASSERT_TRUE(dma.change_owner(owner_of_caller(), {0x5000}).ok());
	}
	EXPECT_EQ(dma.uva_of({0}).value, 0x5000u);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(heir.mm.locked_vm, 2u);
	EXPECT_EQ(process.mm.grabs, 0);
	ASSERT_TRUE(dma.change_owner(owner_of_caller(), {kUva}).ok());
	EXPECT_EQ(heir.mm.locked_vm, 0u);
	EXPECT_EQ(heir.mm.grabs, 0);
}

TEST_F(Type1Class, KthreadsOwnNothing)
{
	const mock::As kthread(nullptr);

	RefPtr<Owner> owner;

	EXPECT_EQ(Owner::of_caller(owner).error(), Error(ENODEV));
	EXPECT_FALSE(owner);
}

TEST_F(Type1Class, OneOwnerForAllThatAProcessMaps)
{
	const RefPtr<Owner> first = owner_of_caller();
	RefPtr<Owner> now = first;

	ASSERT_TRUE(Owner::of_caller(now).ok());
	EXPECT_EQ(now.get(), first.get());
	EXPECT_EQ(process.mm.grabs, 1);

	process.task.ipc_lock = !process.task.ipc_lock;
	ASSERT_TRUE(Owner::of_caller(now).ok());
	EXPECT_NE(now.get(), first.get()) << "another right";

	mock::Process other;
	const mock::As as_other(&other);
	now = first;
	ASSERT_TRUE(Owner::of_caller(now).ok());
	EXPECT_NE(now.get(), first.get()) << "another process";
	EXPECT_EQ(now->mm(), &other.mm);

	mock::plan.fail(mock::Fail::kAlloc);
	now = first;
	EXPECT_EQ(Owner::of_caller(now).error(), Error(ENOMEM));
	EXPECT_EQ(now.get(), first.get());
}

TEST_F(Type1Class, PinRangeOfADeadProcess)
{
	DmaRange dma(IovaRange{{0}, {4 * kPage - 1}}, {kUva}, SHIM_IOMMU_READ);
	mock::Process child;
	{
		const mock::As as_child(&child);

		child.mm.map(kUva, 4, 0x100);
		dma.set_owner(owner_of_caller());
	}
	child.exit();
	EXPECT_EQ(pin_range(dma, nullptr, 1).error(), Error(ENODEV));
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	dma.set_owner({});
}

} // namespace
