// SPDX-License-Identifier: GPL-2.0
//
// PinIndex: each form and what leads from one to the next, told apart by the
// memory that they take; the edges; what memory that runs out leaves behind.
#include "host_test.hpp"
#include "pin_model.hpp"

using namespace vfio;

namespace {

// What one slot takes, by its form. Its record is inside the index.
constexpr u64 kSpare = 96;
constexpr u64 kRun = kSpare;
constexpr u64 kOnePlane = 96;
constexpr u64 kTwoPlanes = 192;
constexpr u64 kThreePlanes = 256;
constexpr u64 kSevenPlanes = 512;
constexpr u64 kDense = 4096;

class PinIndexTest : public HostTest {
protected:
	void SetUp() override
	{
		HostTest::SetUp();
		before = mock::live_bytes();
	}

	// That it takes just this, and what it says it takes.
	void expect_bytes(const PinModel &model, u64 bytes) const
	{
		EXPECT_EQ(model.index.bytes(), bytes);
#ifdef __SANITIZE_ADDRESS__
		EXPECT_EQ(static_cast<u64>(mock::live_bytes() - before), bytes);
#else
		// Other allocators round up.
		EXPECT_GE(static_cast<u64>(mock::live_bytes() - before), bytes);
#endif
		model.check_all();
	}

	// Makes each allocation of operation() fail in turn, until it gets by
	// with those it has. What is there must stay.
	template <class F> static int sweep(const PinModel &model, F operation)
	{
		for (u64 nth = 1;; nth++) {
			mock::plan.reset();
			mock::plan.fail(mock::Fail::kAlloc, nth);
			const bool done = operation();
			const bool fired = mock::plan.fired();
			mock::plan.reset();
			model.check_all();
			if (done && !fired)
				return static_cast<int>(nth) - 1;
			if (nth > 100)
				return -1;
		}
	}

	s64 before = 0;
};

} // namespace

TEST_F(PinIndexTest, Empty)
{
	PinModel model;
	PinnedRuns runs;

	expect_bytes(model, 0);
	model.check(0, ~u64{0});
	model.check(~u64{0}, ~u64{0});
	EXPECT_EQ(find_page(model.index, 0).npages, 0u);
	EXPECT_EQ(model.index.absent_from(0, PinIndex::kLastOffset + 1), PinIndex::kLastOffset + 1);
	EXPECT_EQ(model.index.pinned_from(0, 5), 0u);
	EXPECT_EQ(model.index.unpin(0, PinIndex::kLastOffset + 1, runs), PinIndex::kLastOffset + 1);
	EXPECT_EQ(runs.npages(), 0u);
	EXPECT_TRUE(model.pin_again(7, 1));
	EXPECT_TRUE(model.pin_again(7, 1000));
	model.clear();
}

TEST_F(PinIndexTest, Edges)
{
	PinModel model;
	constexpr u64 last = PinIndex::kLastOffset;
	const PinPage greatest = PinPage::of({PinPage::kPfnMask}, 3);

	EXPECT_TRUE(model.insert_run(0, 1, {PinPage::kPfnMask}, 0));
	EXPECT_TRUE(model.insert_run(last, 1, greatest, 0));
	EXPECT_TRUE(model.insert_run(last - 1, 1, {0}, 0));
	EXPECT_TRUE(model.insert_run(1, 1, {0}, 0));
	model.check_all();
	model.check(last, last);
	EXPECT_EQ(find_page(model.index, last).page, greatest);
	EXPECT_EQ(model.index.pinned_from(last - 1, 2), 2u);
	model.unpin(0, last + 1);
	expect_bytes(model, 0);
}

TEST_F(PinIndexTest, OutOfRange)
{
	PinModel model;
	PinPage pages[] = {{PinPage::kPfnMask}, {PinPage::kPfnMask + 1}, {5}};
	const u64 dma[] = {0, 0, 0};
	constexpr u64 last = PinIndex::kLastOffset;
	const Error inval(EINVAL);

	EXPECT_EQ(model.index.insert(0, 0, pages).error(), inval);
	EXPECT_EQ(model.index.insert(0, 2, pages).error(), inval);
	EXPECT_EQ(model.index.insert(0, 3, pages).error(), inval);
	EXPECT_EQ(model.index.insert(0, 1, pages + 1).error(), inval);
	EXPECT_EQ(model.index.insert(0, 1, pages, dma).error(), inval);
	EXPECT_EQ(model.index.insert(last, 2, pages + 2).error(), inval);
	EXPECT_EQ(model.index.insert(last + 1, 1, pages + 2).error(), inval);
	EXPECT_EQ(model.index.insert_run(0, 2, {PinPage::kPfnMask}).error(), inval);
	EXPECT_EQ(model.index.insert_run(0, ~u64{0}, {1}).error(), inval);
	EXPECT_EQ(model.index.insert_run(~u64{0}, 1, {1}).error(), inval);
	EXPECT_EQ(model.index.insert_run(0, 1, {1}, 4096).error(), inval);
	EXPECT_EQ(pin_pages(model.index, last, 2, pages).error(), inval);
	EXPECT_EQ(pin_pages(model.index, 0, 3, pages).error(), inval);

	// Wrong in the second slot: nothing of the first stays.
	std::vector<PinPage> many(600, PinPage{7});
	many[599] = {PinWord::kOne};
	EXPECT_EQ(model.index.insert(0, 600, many.data()).error(), inval);
	expect_bytes(model, 0);

	PinModel with_dma(true);
	EXPECT_EQ(with_dma.index.insert(0, 1, pages).error(), inval);
	expect_bytes(with_dma, 0);
}

TEST_F(PinIndexTest, SinglePageCounts)
{
	PinModel model;

	EXPECT_TRUE(model.insert_run(1000, 1, {5}, 0));
	expect_bytes(model, 0);
	for (int i = 0; i < 300; i++)
		EXPECT_TRUE(model.pin_again(1000, 1));
	expect_bytes(model, 0);
	EXPECT_EQ(find_page(model.index, 1000).count, 301u);
	for (int i = 0; i < 301; i++)
		model.unpin(1000, 1);
	expect_bytes(model, 0);
}

// A run grows at both ends, shrinks from both, and is broken up.
TEST_F(PinIndexTest, Run)
{
	PinModel model;

	EXPECT_TRUE(model.insert_run(110, 1, {110}, 0));
	EXPECT_TRUE(model.insert_run(111, 1, {111}, 0));
	expect_bytes(model, 0);
	EXPECT_TRUE(model.insert_run(100, 10, {100}, 0));
	EXPECT_TRUE(model.insert_run(112, 300, {112}, 0));
	expect_bytes(model, kRun);
	model.unpin(90, 20);
	model.unpin(400, 100);
	expect_bytes(model, kRun);
	model.unpin(200, 1);
	expect_bytes(model, kOnePlane);
	model.unpin(110, 289);
	EXPECT_EQ(find_page(model.index, 399).page, PinPage{399});
	expect_bytes(model, kOnePlane);
	model.unpin(399, 1);
	expect_bytes(model, 0);
}

TEST_F(PinIndexTest, PlanesGrow)
{
	PinModel model;
	const u64 bytes[] = {kRun,	   kTwoPlanes,	 kTwoPlanes,   kThreePlanes, kThreePlanes,
			     kThreePlanes, kThreePlanes, kSevenPlanes, kSevenPlanes};

	EXPECT_TRUE(model.insert_run(0, 512, {512}, 0));
	for (const u64 wanted : bytes) {
		expect_bytes(model, wanted);
		EXPECT_TRUE(model.pin_again(0, 512));
	}
	while (find_page(model.index, 0).count < 127)
		EXPECT_TRUE(model.pin_again(0, 512));
	expect_bytes(model, kSevenPlanes);
	EXPECT_TRUE(model.pin_again(511, 1));
	expect_bytes(model, kDense);
	for (int i = 0; i < 128; i++)
		model.unpin(0, 512);
	expect_bytes(model, 0);
}

// One page more often than the others, by single pins.
TEST_F(PinIndexTest, PlanesOfOnePage)
{
	PinModel model;

	EXPECT_TRUE(model.insert_run(0, 100, {512}, 0));
	for (int i = 0; i < 200; i++)
		EXPECT_TRUE(model.pin_again(63, 1));
	model.check_all();
	EXPECT_TRUE(model.pin_again(0, 512));
	for (int i = 0; i < 202; i++)
		model.unpin(63, 2);
	model.check_all();
}

// Pages of one huge page in any order: sparse, planes, and a run when all are
// there.
TEST_F(PinIndexTest, ContiguousInAnyOrder)
{
	PinModel model;
	const auto insert_every = [&](u64 first, u64 step, u64 end) {
		for (u64 i = first; i < end; i += step)
			EXPECT_TRUE(model.insert_run(i, 1, {0x800 + i}, 0));
	};

	insert_every(0, 2, 4);
	expect_bytes(model, 32);
	insert_every(4, 2, 12);
	expect_bytes(model, 64);
	insert_every(12, 2, 14);
	expect_bytes(model, kOnePlane);
	insert_every(14, 2, 512);
	expect_bytes(model, kOnePlane);
	insert_every(1, 2, 511);
	expect_bytes(model, kOnePlane);
	insert_every(511, 1, 512);
	expect_bytes(model, kRun);
	model.unpin(0, 512);
	expect_bytes(model, 0);
}

// Pages that fill the holes of a small sparse slot make a run of it.
TEST_F(PinIndexTest, SparseToRun)
{
	PinModel model;

	EXPECT_TRUE(model.insert_run(0, 1, {7}, 0));
	EXPECT_TRUE(model.insert_run(2, 1, {9}, 0));
	EXPECT_TRUE(model.insert_run(3, 1, {10}, 0));
	expect_bytes(model, 32);
	EXPECT_TRUE(model.insert_run(1, 1, {8}, 0));
	expect_bytes(model, kRun);
}

TEST_F(PinIndexTest, SparseToDenseAndBack)
{
	PinModel model;
	// Up to so many pages, so many bytes.
	const struct {
		u64 npages;
		u64 bytes;
	} steps[] = {{1, 0},	{3, 32},   {6, 64},	{9, 96},     {12, 128},	 {19, 192},
		     {25, 256}, {51, 512}, {102, 1024}, {204, 2048}, {512, 4096}};
	u64 npages = 0;

	for (const auto &step : steps)
		while (npages < step.npages) {
			EXPECT_TRUE(model.insert(npages, PinModel::scattered(npages, 1)));
			npages++;
			EXPECT_EQ(model.index.bytes(), step.bytes);
		}
	expect_bytes(model, kDense);
	model.unpin(10, 462);
	expect_bytes(model, kDense);
	// What was dense is sparse again when a page is pinned.
	EXPECT_TRUE(model.insert(500 - 480, PinModel::scattered(20, 1)));
	expect_bytes(model, 512);
	model.unpin(0, 512);
	expect_bytes(model, 0);
}

TEST_F(PinIndexTest, OddOnesOut)
{
	// A page that does not fit a run; one with another mark; one that was
	// pinned more often; planes that meet a stranger.
	PinModel model;

	EXPECT_TRUE(model.insert_run(0, 5, {100}, 0));
	EXPECT_TRUE(model.insert_run(5, 1, {999}, 0));
	expect_bytes(model, 64);

	EXPECT_TRUE(model.insert_run(512, 300, {100}, 0));
	EXPECT_TRUE(model.insert_run(512 + 300, 1, PinPage::of({400}, 2), 0));
	EXPECT_TRUE(model.insert_run(1024, 1, {100}, 0));
	EXPECT_TRUE(model.pin_again(1024, 1));
	EXPECT_TRUE(model.insert_run(1025, 1, {101}, 0));
	EXPECT_TRUE(model.insert_run(2048, 20, {100}, 0));
	EXPECT_TRUE(model.insert_run(2048 + 30, 20, {130}, 0));
	EXPECT_TRUE(model.insert_run(2048 + 25, 1, {7}, 0));
	model.check_all();
	model.unpin(0, 4096);
	EXPECT_EQ(model.index.npages(), 1u);
	model.unpin(0, 4096);
	expect_bytes(model, 0);
}

TEST_F(PinIndexTest, AlreadyThere)
{
	PinModel model;

	EXPECT_TRUE(model.insert_run(600, 10, {600}, 0));
	EXPECT_TRUE(model.insert_run(0, 700, {0}, 0));
	EXPECT_TRUE(model.insert_run(609, 1, {609}, 0));
	EXPECT_TRUE(model.insert(595, PinModel::scattered(595, 6)));
	EXPECT_EQ(model.index.npages(), 10u);
	model.check_all();
}

TEST_F(PinIndexTest, CountsOverflow)
{
	for (const u64 n : {1, 300}) {
		PinModel model;
		PinPage pages[300];
		const PinModel::Pages some = PinModel::scattered(0, n);

		EXPECT_TRUE(model.insert(0, some));
		for (u64 i = 1; i < PinIndex::kMostPins; i++)
			ASSERT_EQ(model.index.pin_again(n - 1, 1, pages).value(), 1u);
		model.pins[n - 1].count = PinIndex::kMostPins;
		model.check_all();

		EXPECT_EQ(model.index.pin_again(0, n, pages).error(), Error(EOVERFLOW));
		EXPECT_EQ(model.index.pin_again(n - 1, 1, pages).error(), Error(EOVERFLOW));
		model.check_all();
		// In the second slot or after new pages; nothing stays of it.
		EXPECT_TRUE(model.insert(512, PinModel::scattered(512, 1)));
		EXPECT_TRUE(model.pin(0, PinModel::scattered(0, 300)));
		model.check_all();
		model.unpin(0, 300);
		EXPECT_TRUE(model.pin_again(0, 300));
		model.check_all();
		model.clear();
	}
}

TEST_F(PinIndexTest, DmaAddresses)
{
	PinModel model(true);

	EXPECT_TRUE(model.insert_run(10, 100, {1000}, 0x7000'0000));
	expect_bytes(model, kRun + 16);
	EXPECT_EQ(find_page(model.index, 20).dma, 0x7000'a000u);
	EXPECT_TRUE(model.insert_run(0, 10, {990}, 0x7000'0000 - 10 * 4096));
	expect_bytes(model, kRun + 16);
	// Contiguous pfns at other addresses.
	EXPECT_TRUE(model.insert_run(110, 1, {1100}, 0));
	model.check_all();
	EXPECT_TRUE(model.pin_again(0, 512));
	EXPECT_TRUE(model.insert(1000, PinModel::scattered(1000, 300)));
	model.check_all();
	model.unpin(50, 1200);
	model.check_all();
	model.unpin(0, 2000);
	model.unpin(0, 2000);
	expect_bytes(model, 0);
}

// All pins of a page at once, in each form.
TEST_F(PinIndexTest, Drop)
{
	for (const bool with_dma : {false, true}) {
		PinModel model(with_dma);

		EXPECT_TRUE(model.insert_run(0, 1000, {5000}, with_dma ? 0x1000000 : 0));
		model.drop(10, 5);
		EXPECT_TRUE(model.pin_again(20, 300));
		EXPECT_TRUE(model.pin_again(100, 10));
		model.drop(90, 25);
		model.drop(600, 1);
		EXPECT_TRUE(model.insert(2048, PinModel::scattered(2048, 512)));
		EXPECT_TRUE(model.insert(4096, PinModel::scattered(4096, 20)));
		for (u64 i = 0; i < 200; i++)
			EXPECT_TRUE(model.pin_again(2100, 2) && model.pin_again(4100, 1));
		EXPECT_TRUE(model.insert(8192, PinModel::scattered(8192, 1)));
		EXPECT_TRUE(model.pin_again(8192, 1));
		model.check_all();
		model.drop(2101, 7);
		model.drop(4098, 10);
		model.drop(8192, 1);
		model.check_all();
		model.drop(0, PinIndex::kLastOffset);
		EXPECT_TRUE(model.index.empty());
	}
}

// What unpinning tells in arrays.
TEST_F(PinIndexTest, UnpinnedPages)
{
	PinModel model;
	std::vector<std::pair<PinPage, u64>> pieces;
	const auto unpin = [&](u64 first, u64 npages) {
		UnpinnedPages gone;
		const u64 done = model.index.unpin(first, npages, gone);

		pieces.clear();
		gone.for_each([&](PinPage page, u64 n) { pieces.emplace_back(page, n); });
		return done;
	};

	EXPECT_TRUE(model.insert(0, PinModel::scattered(0, 15)));
	EXPECT_TRUE(model.insert_run(512, 1024, {77}, 0));
	EXPECT_TRUE(model.insert_run(2048, 9, {5}, 0));

	// The run of two slots is one; the next long one waits.
	EXPECT_EQ(unpin(0, 4096), 2048u);
	ASSERT_EQ(pieces.size(), 1u + 15);
	EXPECT_EQ(pieces[0], std::pair(PinPage{77}, u64{1024}));
	for (u64 i = 0; i < 15; i++)
		EXPECT_EQ(pieces[1 + i], std::pair(PinModel::scattered(i, 1).page[0], u64{1}));
	EXPECT_EQ(unpin(2048, 2048), 2048u);
	ASSERT_EQ(pieces.size(), 1u);
	EXPECT_EQ(pieces[0], std::pair(PinPage{5}, u64{9}));
	EXPECT_TRUE(model.index.empty());

	// As much as there is room for.
	model.pins.clear();
	EXPECT_TRUE(model.insert(0, PinModel::scattered(0, 100)));
	EXPECT_EQ(unpin(0, 100), 64u);
	EXPECT_EQ(pieces.size(), 64u);
	EXPECT_EQ(model.index.npages(), 36u);
}

TEST_F(PinIndexTest, BatchesFailAsAWhole)
{
	for (const bool with_dma : {false, true}) {
		PinModel model(with_dma);

		EXPECT_TRUE(model.insert_run(100, 2, {100}, 100 << 12));
		// Rows of forms: runs, planes, sparse, dense.
		EXPECT_GE(
			sweep(model, [&] { return model.insert_run(200, 3000, {200}, 200 << 12); }),
			3);
		model.unpin(300, 1);
		EXPECT_GE(
			sweep(model,
			      [&] { return model.insert(4000, PinModel::scattered(4000, 1500)); }),
			3);
		EXPECT_GE(sweep(model, [&] { return model.pin_again(100, 1); }), 1);
		EXPECT_GE(sweep(model, [&] { return model.pin_again(512, 2000); }), 1);
		EXPECT_GE(
			sweep(model, [&] { return model.pin(0, model.contiguous(3900, {0}, 0)); }),
			2);
		EXPECT_GE(sweep(model, [&] { return model.insert_run(1 << 30, 1, {5}, 0); }), 0);
		for (int i = 0; i < 6; i++)
			EXPECT_GE(sweep(model, [&] { return model.pin_again(0, 9000); }), 0);
		for (int i = 0; i < 10; i++)
			model.unpin(0, 1 << 31);
		// Slots that had been pinned again when a later one had no memory.
		model.drop(0, 1 << 31);
		EXPECT_TRUE(model.index.empty());
	}
}

// Each run that there is a spare for is broken up without memory; the others
// get it where it cannot fail.
TEST_F(PinIndexTest, Spares)
{
	PinModel model;
	constexpr u64 runs = 100;
	constexpr u64 spares = runs / PinBlocks::kRunsPerSpare;

	for (u64 i = 0; i < runs; i++)
		EXPECT_TRUE(model.insert_run(i * 512, 512, {i * 1000}, 0));
	const u64 bytes = model.index.bytes();
	const u64 certain = mock::blocks_taken_certainly();

	mock::plan.fail(mock::Fail::kAlloc, 1);
	for (u64 i = 0; i < runs; i++) {
		model.unpin(i * 512 + 200, 1);
		EXPECT_EQ(mock::blocks_taken_certainly() - certain,
			  i < spares ? 0 : i + 1 - spares);
	}
	mock::plan.reset();
	EXPECT_EQ(model.index.bytes(), bytes + (runs - spares) * kSpare);
	model.check_all();

	// Runs that are whole again have their spares again.
	for (u64 i = 0; i < runs; i++)
		EXPECT_TRUE(model.insert_run(i * 512 + 200, 1, {i * 1000 + 200}, 0));
	EXPECT_EQ(model.index.bytes(), bytes);
	for (u64 i = 0; i < runs; i++)
		model.unpin(i * 512, 511);
	for (u64 i = 0; i < runs; i++)
		EXPECT_TRUE(find_page(model.index, i * 512 + 511).npages);
	model.unpin(0, runs * 512);
	expect_bytes(model, 0);
}

TEST_F(PinIndexTest, Clear)
{
	PinModel model(true);

	EXPECT_TRUE(model.insert_run(PinIndex::kLastOffset - 600, 601, {5}, 0));
	EXPECT_TRUE(model.insert(0, PinModel::scattered(0, 1000)));
	EXPECT_TRUE(model.pin_again(PinIndex::kLastOffset - 600, 601));
	EXPECT_TRUE(model.pin_again(7, 1));
	model.clear();
	expect_bytes(model, 0);
	EXPECT_TRUE(model.pin_again(7, 1));
	EXPECT_TRUE(model.insert(0, PinModel::scattered(0, 1000)));
}

// One page at a time, in every form.
TEST_F(PinIndexTest, OnePage)
{
	constexpr PinPage kNone = {~u64{0}};
	PinModel model;
	u64 at = 0;
	const auto again = [&](u64 offset) {
		PinPage page = {};
		const u64 pinned = model.index.pin_again(offset, 1, &page).value();

		if (pinned)
			model.pins.at(offset).count++;
		return pinned ? page : kNone;
	};

	// A single page, then sparse, then dense; pages go on in order.
	EXPECT_EQ(again(0), kNone);
	for (at = 0; at < kPinSlotPages; at++) {
		const PinPage page = PinModel::scattered(at, 1).page[0];

		EXPECT_TRUE(model.insert_run(at, 1, page, 0));
		EXPECT_EQ(again(at), page);
		EXPECT_EQ(again(0), model.pins.at(0).page);
		EXPECT_TRUE(model.insert_run(at, 1, page, 0)) << "it is there";
	}
	model.check_all();
	EXPECT_EQ(model.index.insert_run(PinIndex::kLastOffset + 1, 1, {1}).error(), Error(EINVAL));

	// All but one go, one by one.
	for (at = 0; at < kPinSlotPages - 1; at++)
		while (model.pins.contains(at) && !HasFailure())
			model.unpin_pages(at, 1);
	EXPECT_EQ(model.index.npages(), 1u);
	while (model.pins.contains(at) && !HasFailure())
		model.unpin_pages(at, 1);
	expect_bytes(model, 0);

	// Contiguous pages: a run takes memory to count, planes have it.
	EXPECT_TRUE(model.insert_run(512, 512, {0x1000}, 0));
	EXPECT_EQ(again(1024), kNone);
	EXPECT_EQ(again(600), PinPage{0x1000 + 600 - 512});
	EXPECT_EQ(again(600), PinPage{0x1000 + 600 - 512});
	model.check_all();
}
