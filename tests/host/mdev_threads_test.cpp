// SPDX-License-Identifier: GPL-2.0
//
// Mediated devices created and removed from several threads, while their
// parent comes and goes. ThreadSanitizer watches.
#include <chrono>
#include <thread>

#include "mdev_world.hpp"

namespace {

class MdevThreads : public MdevTest {
protected:
	static constexpr auto kTime = std::chrono::milliseconds(1000);

	void race(const std::vector<std::function<void()>> &functions)
	{
		std::vector<std::thread> threads;
		std::atomic<bool> stop = false;

		for (const auto &function : functions)
			threads.emplace_back([&stop, &function] {
				while (!stop)
					function();
			});
		std::this_thread::sleep_for(kTime);
		stop = true;
		for (std::thread &thread : threads)
			thread.join();
	}

	std::atomic<u64> created = 0, removed = 0, busy = 0;
	std::atomic<int> bound = 0;
};

TEST_F(MdevThreads, OneUuid)
{
	driver.probe = [&](mdev_device *) {
		EXPECT_EQ(++bound, 1);
		return 0;
	};
	driver.remove = [&](mdev_device *) { EXPECT_EQ(--bound, 0); };
	ASSERT_EQ(register_parent(), 0);

	const auto creator = [&] {
		const long result = create(types[0], uuid(1));

		created += result == 0;
		EXPECT_TRUE(result == 0 || result == -EEXIST) << result;
	};
	const auto remover = [&] {
		const long result = remove(uuid(1));

		removed += result == 0;
		busy += result == -EAGAIN;
		EXPECT_TRUE(result == 0 || result == -ENOENT || result == -EAGAIN) << result;
	};
	race({creator, creator, remover, remover});
	EXPECT_GT(created, 10u);
	EXPECT_GE(removed + 1, created) << "the loser of two removals succeeds too";
	remove(uuid(1));
	EXPECT_EQ(bound, 0);
	EXPECT_EQ(mock::read_available(types[0]), 4);
	unregister_parent();
}

TEST_F(MdevThreads, TheParentComesAndGoes)
{
	constexpr int kMost = 2;
	std::atomic<u64> rounds = 0;

	driver.max_instances = kMost;
	driver.probe = [&](mdev_device *) {
		EXPECT_LE(++bound, kMost);
		return 0;
	};
	driver.remove = [&](mdev_device *) { EXPECT_GE(--bound, 0); };

	std::vector<std::function<void()>> functions;
	for (unsigned i = 0; i < 4; i++)
		functions.emplace_back([&, i] {
			const long result = create(types[i % 2], uuid(i));

			created += result == 0;
			EXPECT_TRUE(result == 0 || result == -ENODEV || result == -EUSERS ||
				    result == -EEXIST)
				<< result;
			const long gone = remove(uuid(i));

			removed += gone == 0;
			EXPECT_TRUE(gone == 0 || gone == -ENOENT || gone == -ENODEV) << gone;
		});
	functions.emplace_back([&] {
		ASSERT_EQ(register_parent(), 0);
		std::this_thread::sleep_for(std::chrono::milliseconds(2));
		unregister_parent();
		EXPECT_EQ(bound, 0) << "unregistering leaves none";
		rounds++;
	});
	race(functions);
	EXPECT_GT(rounds, 3u);
	EXPECT_GT(created, 10u);
}

} // namespace
