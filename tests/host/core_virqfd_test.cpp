// SPDX-License-Identifier: GPL-2.0
//
// Eventfds that call a driver, and the joining of ranges of IOVAs.
#include <algorithm>
#include <random>

#include "core_world.hpp"
#include "mock/core_virqfd.hpp"

namespace {

class CoreVirqfd : public CoreTest {
protected:
	struct Driver {
		int handled = 0, threads = 0, wants = 1;
		virqfd *slot = nullptr;

		static int handler(void *opaque, void *)
		{
			auto *driver = static_cast<Driver *>(opaque);

			driver->handled++;
			return driver->wants;
		}
		static void thread(void *opaque, void *)
		{
			static_cast<Driver *>(opaque)->threads++;
		}

		int enable(int fd, bool with_handler = true, bool with_thread = true)
		{
			const shim_virqfd_calls calls = {this, with_handler ? handler : nullptr,
							 with_thread ? thread : nullptr, nullptr};

			return vfio_core_virqfd_enable(&calls, &slot, fd);
		}
	};

	void TearDown() override
	{
		EXPECT_EQ(mock::live_virqfds(), 0u);
		CoreTest::TearDown();
	}

	Driver driver;
};

TEST_F(CoreVirqfd, EachEventCallsTheDriver)
{
	mock::MockEvent event;

	ASSERT_EQ(driver.enable(event.fd), 0);
	ASSERT_NE(driver.slot, nullptr);
	EXPECT_EQ(driver.handled, 0);
	event.signal();
	EXPECT_EQ(driver.handled, 1);
	EXPECT_EQ(event.counter, 0u);
	EXPECT_EQ(driver.threads, 0) << "in a work";
	mock::run_virqfd_threads();
	EXPECT_EQ(driver.threads, 1);
	driver.wants = 0;
	event.signal();
	mock::run_virqfd_threads();
	EXPECT_EQ(driver.handled, 2);
	EXPECT_EQ(driver.threads, 1) << "the handler did not want it";
	vfio_core_virqfd_disable(&driver.slot);
	EXPECT_EQ(driver.slot, nullptr);
	event.signal();
	EXPECT_EQ(driver.handled, 2);
}

TEST_F(CoreVirqfd, AnEventBeforeItWasEnabledCounts)
{
	mock::MockEvent event;

	event.signal();
	ASSERT_EQ(driver.enable(event.fd), 0);
	EXPECT_EQ(driver.handled, 1);
	vfio_core_virqfd_disable(&driver.slot);
	EXPECT_EQ(driver.threads, 1) << "disabling waits for the thread";
}

TEST_F(CoreVirqfd, WithoutHandlerOrThread)
{
	for (const bool with_thread : {false, true}) {
		mock::MockEvent event;

		driver.threads = 0;
		ASSERT_EQ(driver.enable(event.fd, false, with_thread), 0);
		event.signal();
		vfio_core_virqfd_wait(&driver.slot);
		EXPECT_EQ(driver.threads, with_thread ? 1 : 0);
		vfio_core_virqfd_disable(&driver.slot);
	}
}

TEST_F(CoreVirqfd, ClosingTheEventfdDisablesIt)
{
	mock::MockEvent event;

	ASSERT_EQ(driver.enable(event.fd), 0);
	event.close();
	EXPECT_EQ(driver.slot, nullptr);
	EXPECT_EQ(mock::live_virqfds(), 1u) << "shut down in a work";
	vfio_core_virqfd_disable(&driver.slot);
	EXPECT_EQ(mock::live_virqfds(), 0u) << "disabling waits for it";
}

TEST_F(CoreVirqfd, DisabledThenClosed)
{
	mock::MockEvent event;

	ASSERT_EQ(driver.enable(event.fd), 0);
	vfio_core_virqfd_disable(&driver.slot);
	vfio_core_virqfd_disable(&driver.slot);
	vfio_core_virqfd_wait(&driver.slot);
	event.close();
}

TEST_F(CoreVirqfd, Errors)
{
	mock::MockEvent event, other;
	const int file = mock::open_other();

	EXPECT_EQ(driver.enable(-1), -EBADF);
	EXPECT_EQ(driver.enable(file), -EINVAL);
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(driver.enable(event.fd), -ENOMEM);
	EXPECT_EQ(driver.slot, nullptr);
	ASSERT_EQ(driver.enable(event.fd), 0);

	virqfd *first = driver.slot;

	EXPECT_EQ(driver.enable(other.fd), -EBUSY);
	EXPECT_EQ(driver.slot, first);
	EXPECT_TRUE(other.watchers.empty());
	vfio_core_virqfd_disable(&driver.slot);
	mock::close(file);
}

class CoreRanges : public CoreTest {};

// Against removing the smallest gaps of all.
TEST_F(CoreRanges, TheSmallestGapsAreJoined)
{
	std::mt19937_64 random = HostTest::random("ranges");

	for (int round = 0; round < 200; round++) {
		std::vector<interval_tree_node> nodes(1 + random() % 12);
		std::vector<u64> gaps;
		u64 next = random() % 3;

		for (auto &node : nodes) {
			node.first = next;
			node.last = next + random() % 100;
			next = node.last + 1 + random() % 50;
		}
		if (random() % 4 == 0)
			nodes.back().last = ~u64{0};
		for (size_t i = 1; i < nodes.size(); i++)
			gaps.push_back(nodes[i].first - nodes[i - 1].last);
		std::sort(gaps.begin(), gaps.end());

		const u32 wanted = 1 + static_cast<u32>(random() % nodes.size());
		rb_root_cached root;
		u64 lost = 0, expected = 0;

		for (size_t i = nodes.size(); i-- > 0;)
			root.ranges.push_back(&nodes[i]);

		const auto before = nodes;

		vfio_core_combine_iova_ranges(&root, static_cast<u32>(nodes.size()), wanted);
		ASSERT_EQ(root.ranges.size(), wanted);
		for (size_t i = 0; i < nodes.size() - wanted; i++)
			expected += gaps[i];
		// What is in the ranges now and was in none of those before.
		for (const interval_tree_node *range : root.ranges)
			for (size_t i = 1; i < before.size(); i++)
				if (before[i].first > range->first && before[i].last <= range->last)
					lost += before[i].first - before[i - 1].last;
		EXPECT_EQ(lost, expected);
		for (const auto &node : before)
			EXPECT_TRUE(std::any_of(root.ranges.begin(), root.ranges.end(),
						[&](const interval_tree_node *range) {
							return range->first <= node.first &&
							       node.last <= range->last;
						}));
	}
}

TEST_F(CoreRanges, AsManyAsWantedStay)
{
	interval_tree_node node = {10, 20};
	rb_root_cached root{{&node}};

	vfio_core_combine_iova_ranges(&root, 1, 1);
	EXPECT_EQ(root.ranges.size(), 1u);
}

} // namespace
