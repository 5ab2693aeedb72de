// SPDX-License-Identifier: GPL-2.0
//
// DomainUse: threads that work in a domain never overlap with threads that change its groups, and none is
// left waiting.
#include <atomic>
#include <thread>
#include <vector>

#include "dma/domain_use.hpp"
#include "host_test.hpp"

namespace {

using namespace vfio;

class DmaDomainUse : public HostTest {
protected:
	DomainUse use;
};

TEST_F(DmaDomainUse, ThreadsWorkAtOneTime)
{
	const DomainUse::Working one(&use), without(nullptr);
	std::thread([this] { const DomainUse::Working two(&use); }).join();
}

TEST_F(DmaDomainUse, WorkWaitsForAChange)
{
	std::atomic<bool> worked = false;
	std::thread worker;
	{
		const DomainUse::Changing changing(use);

		worker = std::thread([&] {
			const DomainUse::Working working(&use);

			worked = true;
		});
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		EXPECT_FALSE(worked);
	}
	worker.join();
	EXPECT_TRUE(worked);
}

TEST_F(DmaDomainUse, AChangeWaitsForWork)
{
	std::atomic<bool> changed = false;
	std::thread changer;
	{
		const DomainUse::Working working(&use);

		changer = std::thread([&] {
			const DomainUse::Changing changing(use);

			changed = true;
		});
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		EXPECT_FALSE(changed);
	}
	changer.join();
	EXPECT_TRUE(changed);
}

// Changes that follow each other at once find threads that are about to wait.
TEST_F(DmaDomainUse, ManyThreads)
{
	constexpr int kRounds = 20000;
	std::atomic<int> working = 0, changing = 0;
	std::atomic<bool> met = false;
	std::vector<std::thread> threads;

	for (int i = 0; i < 2; i++)
		threads.emplace_back([&] {
			for (int round = 0; round < kRounds; round++) {
				const DomainUse::Working guard(&use);

				working++;
				if (changing > 0)
					met = true;
				working--;
			}
		});
	for (int i = 0; i < 2; i++)
		threads.emplace_back([&] {
			for (int round = 0; round < kRounds; round++) {
				const DomainUse::Changing guard(use);

				if (changing++ > 0 || working > 0)
					met = true;
				changing--;
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_FALSE(met);
}

} // namespace
