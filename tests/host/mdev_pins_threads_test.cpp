// SPDX-License-Identifier: GPL-2.0
//
// The pins of one device from several threads: pinned, unpinned, looked up and
// dropped, while their user maps and unmaps. ThreadSanitizer watches.
#include <chrono>
#include <thread>

#include "mdev_pins_world.hpp"

namespace {

class MdevPinsThreads : public PinsTest {
protected:
	using Rng = std::mt19937_64;

	void race(const std::vector<std::function<void(Rng &)>> &functions)
	{
		Rng seeds = random("MdevPinsThreads");
		std::vector<std::thread> threads;
		std::atomic<bool> stop = false;

		for (const auto &function : functions)
			threads.emplace_back([&stop, &function, seed = seeds()] {
				Rng rng(seed);

				while (!stop)
					function(rng);
			});
		std::this_thread::sleep_for(std::chrono::milliseconds(1000));
		stop = true;
		for (std::thread &thread : threads)
			thread.join();
	}

	// A piece of the first 2048 pages.
	struct Piece {
		explicit Piece(Rng &rng)
			: first(rng() % 2048),
			  npages(1 + rng() % (rng() % 8 ? 8 : std::min<u64>(2048 - first, 700)))
		{
		}

		const u64 first;
		const u64 npages;
	};

	void look(Rng &rng)
	{
		mdev_pin_run run;
		u64 last = 0;

		if (mdev_pins_find(pins, rng() % 2048 << 12, &run)) {
			EXPECT_LE(run.npages, 512u);
		}
		EXPECT_EQ(mdev_pins_for_each(
				  pins, 0, ~u64{0},
				  [](const mdev_pin_run *run, void *last) {
					  const u64 before =
						  std::exchange(*static_cast<u64 *>(last),
								run->iova + run->npages);

					  return run->iova < before ? 1 : 0;
				  },
				  &last),
			  0);
		EXPECT_LE(mdev_pins_npages(pins), 2048u + 2048);
		EXPECT_GT(mdev_pins_bytes(pins), 0u);
		// Host locks let readers pass those who wait to write.
		std::this_thread::sleep_for(std::chrono::microseconds(200));
	}

	std::atomic<u64> pinned = 0, refused = 0, unmaps = 0;
};

// Who unpins what he has pinned finds it; at the end nothing is left.
TEST_F(MdevPinsThreads, Balanced)
{
	vdev.map(0, 2800, 0x10000, 3, 3);
	for (const bool dma : {false, true}) {
		create(dma);
		const auto work = [&](Rng &rng) {
			const Piece piece(rng);

			EXPECT_EQ(pin(piece.first, piece.npages, 1 + rng() % 3), 0);
			EXPECT_EQ(unpin(piece.first, piece.npages), piece.npages);
			pinned++;
		};
		race({work, work, work, [&](Rng &rng) { look(rng); }});
		check({});
		EXPECT_GT(pinned, 20u);
	}
}

// The user unmaps and maps again. What is unmapped has no pin behind it.
TEST_F(MdevPinsThreads, UnmappedMeanwhile)
{
	for (const bool stock : {false, true})
		for (const bool dma : {false, true}) {
			vdev.stock = stock;
			create(dma);
			const auto work = [&](Rng &rng) {
				const Piece piece(rng);
				const int result = pin(piece.first, piece.npages);

				EXPECT_TRUE(result == 0 || result == -EINVAL) << result;
				pinned += result == 0;
				refused += result != 0;
				if (rng() % 2)
					unpin(piece.first, piece.npages);
			};
			const auto user = [&](Rng &rng) {
				vdev.map(0, 1024, 0x10000 + rng() % 1000);
				vdev.map(1024, 1800, 0x90000, 3, 2);
				for (u64 i = rng() % 2000; i; i--)
					std::this_thread::yield();
				vdev.unmap(1024 * (rng() % 2));
				vdev.map(3000, 1, 5);
				for (const u64 first : {0, 1024, 3000})
					if (vdev.pfn_at(first))
						vdev.unmap(first);
				unmaps++;
			};
			race({work, work, user, [&](Rng &rng) { look(rng); }});
			check({});
			EXPECT_EQ(vdev.mappings.size(), 0u);
			EXPECT_GT(unmaps, 0u);
		}
	EXPECT_GT(pinned, 20u);
	printf("pinned %llu, refused %llu, unmaps %llu, asked %llu times at most\n",
	       static_cast<unsigned long long>(pinned), static_cast<unsigned long long>(refused),
	       static_cast<unsigned long long>(unmaps),
	       static_cast<unsigned long long>(vdev.most_asked));
}

// Pins that fail take back what is theirs, and never what others have pinned
// after a drop.
TEST_F(MdevPinsThreads, WhoPinsAfterADropKeepsIt)
{
	vdev.map(0, 1400, 0x10000);
	race({
		[&](Rng &) { EXPECT_EQ(pin(0, 1500), -EINVAL) << "a hole at the end"; },
		[&](Rng &rng) { EXPECT_EQ(pin(1 + rng() % 300, 1400), -EINVAL); },
		[&](Rng &rng) {
			const u64 page = 300 + rng() % 300;

			drop(page, 1);
			ASSERT_EQ(pin(page, 1), 0);
			for (int i = 0; i < 20; i++)
				ASSERT_GE(count(page), 1u) << "somebody took it away";
			ASSERT_EQ(unpin(page, 1), 1u);
			pinned++;
		},
	});
	check({});
	EXPECT_GT(pinned, 5u);
}

} // namespace
