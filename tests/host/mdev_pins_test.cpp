// SPDX-License-Identifier: GPL-2.0
//
// The pins that mdev.ko keeps for drivers: counts and runs, bad arguments,
// protections, DMA addresses, ranges that are dropped under a pin, each step
// failing in turn.
#include <thread>

#include "mdev_pins_steps.hpp"

namespace {

constexpr u64 kLast = (u64{1} << 52) - 1;

class MdevPins : public PinsTest {
protected:
	void SetUp() override
	{
		PinsTest::SetUp();
		vdev.map(0, 4096, 0x10000);
		vdev.map(4096, 1024, 0x90000, 3, 2); // scattered
		vdev.map(8192, 1024, 0x50000, 1);    // for reading
	}

	static std::map<u64, u64> counts(u64 first, u64 npages, u64 count = 1)
	{
		std::map<u64, u64> all;

		for (u64 i = 0; i < npages; i++)
			all[first + i] = count;
		return all;
	}

	// Pins with the 1st, 2nd, ... step failing, until none is left to; not
	// all are fatal. What fails changes nothing. Gives how many there were.
	int sweep(u64 first, u64 npages, u32 prot = 3)
	{
		const std::vector<Run> before = runs();

		for (u64 nth = 1;; nth++) {
			mock::plan.reset();
			mock::plan.fail_nth(nth);
			const int result = pin(first, npages, prot);
			const bool failed = mock::plan.fired();
			mock::plan.reset();
			if (!failed) {
				EXPECT_EQ(result, 0);
				return static_cast<int>(nth) - 1;
			}
			if (result == 0) {
				EXPECT_EQ(unpin(first, npages), npages);
			}
			EXPECT_EQ(runs(), before) << nth;
			EXPECT_EQ(vdev.pins(), vdev.pinned());
			if (HasFailure())
				return 0;
		}
	}
};

TEST_F(MdevPins, CountsAndRuns)
{
	EXPECT_EQ(pin(10, 600), 0);
	EXPECT_EQ(pin(100, 50), 0);
	const Run want[] = {
		{10, 90, 0x1000a, 0, 1}, {100, 50, 0x10064, 0, 2}, {150, 460, 0x10096, 0, 1}};
	EXPECT_EQ(runs(), std::vector<Run>(std::begin(want), std::end(want)));
	EXPECT_EQ(count(9), 0u);
	EXPECT_EQ(count(120), 2u);

	mdev_pin_run run;
	ASSERT_TRUE(mdev_pins_find(pins, (140 << 12) + 5, &run));
	EXPECT_EQ(run.iova, 140u << 12);
	EXPECT_EQ(run.npages, 10u);
	EXPECT_EQ(run.pfn, 0x1008cu);
	EXPECT_EQ(run.count, 2u);

	EXPECT_EQ(unpin(0, 120), 110u);
	EXPECT_EQ(count(99), 0u);
	EXPECT_EQ(count(119), 1u);
	EXPECT_EQ(count(120), 2u);
	EXPECT_EQ(vdev.pinned(), 510u);
	EXPECT_GT(mdev_pins_bytes(pins), 0u);
	EXPECT_EQ(unpin(0, ~u64{0}), 510u);
	check(counts(120, 30));
	EXPECT_EQ(unpin(0, ~u64{0}), 30u);
	EXPECT_EQ(unpin(0, ~u64{0}), 0u);
	check({});
}

TEST_F(MdevPins, BadArguments)
{
	mdev_pins *other = nullptr;

	EXPECT_EQ(mdev_core_pins_create(&vdev, &parent, 3, &other), -EINVAL);
	EXPECT_EQ(mdev_core_pins_create(&vdev, &parent, 77, &other), -EINVAL);
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(mdev_core_pins_create(&vdev, &parent, 0, &other), -ENOMEM);
	mdev_pins_destroy(nullptr);

	EXPECT_EQ(pin(0, 0), -EINVAL);
	EXPECT_EQ(mdev_pins_pin(pins, 4095, 1, 3), -EINVAL);
	EXPECT_EQ(pin(kLast, 2), -EINVAL);
	EXPECT_EQ(pin(1, ~u64{0}), -EINVAL);
	EXPECT_EQ(pin(0, 1, 0), -EINVAL);
	EXPECT_EQ(pin(0, 1, 4), -EINVAL);
	EXPECT_EQ(pin(0, 1, ~0u), -EINVAL);
	EXPECT_EQ(unpin(0, 0), 0u);
	EXPECT_EQ(drop(0, 0), 0u);
	EXPECT_EQ(pin(kLast - 3, 4), -EINVAL) << "not mapped";
	EXPECT_TRUE(runs(5, 4).empty());
	check({});
}

TEST_F(MdevPins, TheLastPages)
{
	vdev.map(kLast - 599, 600, 0x70000);
	EXPECT_EQ(pin(kLast - 599, 600), 0);
	EXPECT_EQ(count(kLast), 1u);
	EXPECT_EQ(runs(kLast, kLast).size(), 1u);
	EXPECT_EQ(unpin(kLast - 9, ~u64{0}), 10u);
	EXPECT_EQ(mdev_pins_drop(pins, ~u64{0} - (20 << 12) + 1, ~u64{0}), 10u);
	EXPECT_EQ(mdev_pins_drop(pins, 0, ~u64{0}), 580u);
}

TEST_F(MdevPins, AllOrNothing)
{
	EXPECT_EQ(pin(4000, 80), 0);
	EXPECT_EQ(pin(100, 6000), -EINVAL) << "a hole behind";
	check(counts(4000, 80));
	EXPECT_EQ(pin(0, 4096 + 1024), 0);
	std::map<u64, u64> want = counts(0, 4096 + 1024);
	for (u64 i = 4000; i < 4080; i++)
		want[i] = 2;
	check(want);
	EXPECT_EQ(drop(0, 8192), 5120u);
	check({});
}

TEST_F(MdevPins, Protections)
{
	EXPECT_EQ(pin(8192, 10, 2), -EPERM);
	EXPECT_EQ(pin(8192, 10, 1), 0);
	EXPECT_EQ(pin(8195, 1, 3), -EPERM) << "pinned for reading, mapped for reading";
	check(counts(8192, 10));

	// Mapped for both: more than before is allowed, and counts.
	EXPECT_EQ(pin(0, 10, 1), 0);
	EXPECT_EQ(pin(5, 10, 2), 0);
	EXPECT_EQ(pin(0, 20, 3), 0);
	std::map<u64, u64> want = counts(8192, 10);
	for (u64 i = 0; i < 20; i++)
		want[i] = 1 + (i < 10) + (i >= 5 && i < 15);
	check(want);

	// Between both kinds of memory nothing stays.
	vdev.map(9216, 1, 0x60000, 3);
	EXPECT_EQ(pin(9216, 1, 3), 0);
	EXPECT_EQ(pin(9215, 2, 3), -EPERM);
	want[9216] = 1;
	check(want);
}

TEST_F(MdevPins, CountsDoNotWrap)
{
	constexpr u64 kMost = (1 << 22) - 1;

	EXPECT_EQ(pin(1, 3), 0);
	for (u64 i = 1; i < kMost; i++)
		if (pin(2, 1) != 0)
			FAIL() << i;
	EXPECT_EQ(count(2), kMost);
	EXPECT_EQ(pin(2, 1), -EOVERFLOW);
	EXPECT_EQ(pin(0, 2000), -EOVERFLOW);
	EXPECT_EQ(count(0), 0u);
	EXPECT_EQ(count(1), 1u);
	EXPECT_EQ(count(2), kMost);
	EXPECT_EQ(drop(0, 10), 3u);
	check({});
}

TEST_F(MdevPins, DmaAddresses)
{
	for (const bool direct : {false, true}) {
		mock::set_dma_direct(direct);
		create(true);
		EXPECT_EQ(pin(0, 1000), 0);
		EXPECT_EQ(pin(4096, 100), 0);
		EXPECT_EQ(pin(500, 3600), 0);
		std::map<u64, u64> want = counts(0, 4196);
		for (u64 i = 500; i < 1000; i++)
			want[i] = 2;
		for (u64 i = 4096; i < 4100; i++)
			want[i] = 2;
		check(want);
		if (direct) {
			EXPECT_EQ(runs(0, 499).size(), 1u) << "addresses follow each other";
		}
		EXPECT_EQ(unpin(100, 4000), 4000u);
		EXPECT_EQ(drop(0, 550), 150u);
		check([&] {
			std::map<u64, u64> left = counts(550, 450);
			left.merge(counts(4096, 100));
			return left;
		}());
		destroy();
		EXPECT_EQ(mock::dma_mapped(), 0u);
	}
}

TEST_F(MdevPins, NoDmaAddress)
{
	create(true);
	EXPECT_EQ(pin(0, 3), 0);
	mock::plan.fail(mock::Fail::kDomainMap, 700);
	EXPECT_EQ(pin(0, 1000), -EIO);
	check(counts(0, 3));
}

TEST_F(MdevPins, VisitingEnds)
{
	struct Visits {
		int left;
		u64 pages;
	} visits = {2, 0};

	EXPECT_EQ(pin(4096, 100), 0);
	EXPECT_EQ(mdev_pins_for_each(
			  pins, 0, ~u64{0},
			  [](const mdev_pin_run *run, void *arg) {
				  auto *mine = static_cast<Visits *>(arg);

				  mine->pages += run->npages;
				  return --mine->left ? 0 : -7;
			  },
			  &visits),
		  -7);
	EXPECT_EQ(visits.pages, 2u);
}

TEST_F(MdevPins, UnmappedByItsUser)
{
	EXPECT_EQ(pin(0, 4000), 0);
	EXPECT_EQ(pin(10, 100), 0);
	EXPECT_EQ(pin(4096, 10), 0);
	vdev.unmap(0);
	check(counts(4096, 10));
	EXPECT_EQ(vdev.most_asked, 1u);
	EXPECT_EQ(pin(0, 1), -EINVAL);
}

TEST_F(MdevPins, DestroyUnpins)
{
	create(true);
	EXPECT_EQ(pin(0, 4000), 0);
	EXPECT_EQ(pin(10, 100), 0);
	EXPECT_EQ(pin(8192, 10, 1), 0);
	destroy();
	EXPECT_EQ(vdev.pinned(), 0u);
}

// --- under way -------------------------------------------------------------

// Somebody else has pinned the same pages meanwhile: theirs stay.
TEST_F(MdevPins, PinnedByAnotherMeanwhile)
{
	for (const bool dma : {false, true}) {
		create(dma);
		vdev.after_pin = [&](u64 first, u64) {
			vdev.after_pin = nullptr;
			EXPECT_EQ(pin(first + 3, 5), 0);
			EXPECT_EQ(pin(first + 20, 1), 0);
		};
		EXPECT_EQ(pin(0, 30), 0);
		std::map<u64, u64> want = counts(0, 30);
		for (const u64 both : {3, 4, 5, 6, 7, 20})
			want[both] = 2;
		check(want);
		EXPECT_EQ(drop(0, 30), 30u);
	}
}

// As if dma_unmap came at the worst time. The drop does not wait for ever.
TEST_F(MdevPins, DroppedUnderAPin)
{
	for (const bool dma : {false, true})
		for (const u64 chunk : {0, 512, 1024}) {
			create(dma);
			EXPECT_EQ(pin(0, 5), 0);
			vdev.after_pin = [&](u64 first, u64) {
				if (first < chunk)
					return;
				vdev.after_pin = nullptr;
				// What was counted until then goes here, if it is
				// in the range.
				drop(2, 2);
				drop(500, 20);
			};
			EXPECT_EQ(pin(0, 1500), -EINVAL);
			EXPECT_FALSE(vdev.after_pin);
			check({{0, 1}, {1, 1}, {4, 1}});
			EXPECT_EQ(pin(0, 1500), 0);
		}
}

TEST_F(MdevPins, DropsElsewhereDoNotMatter)
{
	EXPECT_EQ(pin(3000, 10), 0);
	vdev.after_pin = [&](u64, u64) { drop(1500, 2000); };
	EXPECT_EQ(pin(0, 1500), 0);
	vdev.after_pin = nullptr;
	check(counts(0, 1500));
}

// Who pins after the drop waits for the pin that it made fail, and keeps what
// he has pinned.
TEST_F(MdevPins, PinsAfterADropKeepTheirs)
{
	std::thread other;
	std::atomic<bool> done = false;
	vdev.after_pin = [&](u64 first, u64) {
		if (first < 512 || other.joinable())
			return;
		drop(100, 1);
		other = std::thread([&] {
			EXPECT_EQ(pin(90, 20), 0);
			done = true;
		});
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		EXPECT_FALSE(done);
	};
	EXPECT_EQ(pin(0, 2000), -EINVAL);
	other.join();
	check(counts(90, 20));
}

// --- each step fails in turn -----------------------------------------------

TEST_F(MdevPins, Sweep)
{
	for (const bool dma : {false, true}) {
		create(dma);
		EXPECT_GE(sweep(0, 1), dma ? 3 : 1);
		// Across the end of a batch; each page's address is a step.
		EXPECT_GE(sweep(450, dma ? 200 : 1100), dma ? 202 : 5);
		EXPECT_GE(sweep(4100, dma ? 100 : 700), dma ? 102 : 4);
		EXPECT_GE(sweep(0, dma ? 700 : 4900), dma ? 503 : 9);
		EXPECT_GE(sweep(500, 1), 0);
		EXPECT_GE(sweep(8200, 3, 1), dma ? 5 : 2);
		EXPECT_EQ(pin(5, 1, 1), 0);
		// Unpinning does not fail.
		mock::plan.fail_nth(1);
		EXPECT_EQ(unpin(0, 600), 600u);
		EXPECT_EQ(drop(450, 100), 100u);
		EXPECT_FALSE(mock::plan.fired());
		mock::plan.reset();
	}
}

// --- against a plain map ---------------------------------------------------

class MdevPinsRandom : public PinsSteps {};

TEST_F(MdevPinsRandom, AgainstAMap)
{
	RandomChoices numbers(random("MdevPinsRandom"));

	choices = &numbers;
	mock::set_dma_direct(numbers.flag());
	for (const bool dma : {false, true}) {
		begin(dma);
		for (int i = 0; i < 1000 && !HasFailure(); i++)
			step();
	}
}

} // namespace
