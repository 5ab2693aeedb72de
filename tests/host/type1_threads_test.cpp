// SPDX-License-Identifier: GPL-2.0
//
// One container, many threads: mapping, unmapping, pinning, dirty tracking,
// groups that come and go. ThreadSanitizer watches.
#include <chrono>
#include <memory>
#include <thread>

#include "type1_container.hpp"

namespace {

class Type1Threads : public Type1Test {};

// A device that several threads tell of unmaps, with a lock of its own.
class SharedDevice {
public:
	SharedDevice(Container &container, iommu_group &group)
		: container_(container), group_(group)
	{
		device_.dma_unmap = [this](u64 iova, u64 size) { unpin_in(iova, size); };
		container_.add_device(device_);
	}

	~SharedDevice()
	{
		unpin_in(0, 0);
		container_.remove_device(device_);
	}

	// As mediated drivers do: the lock is not held across the pin.
	void pin(u64 iova)
	{
		{
			const std::lock_guard guard(mutex_);
			if (!pinned_.insert(iova).second)
				return;
		}
		if (container_.pin(group_, iova, 1) == 1)
			return;
		const std::lock_guard guard(mutex_);
		pinned_.erase(iova);
	}

	void unpin_in(u64 iova, u64 size)
	{
		std::vector<u64> mine;
		{
			const std::lock_guard guard(mutex_);
			for (auto at = pinned_.lower_bound(iova);
			     at != pinned_.end() && *at - iova <= size - 1;)
				mine.push_back(*at), at = pinned_.erase(at);
		}
		for (const u64 page : mine)
			container_.unpin(page, 1);
	}

private:
	Container &container_;
	iommu_group &group_;
	vfio_device device_;
	std::mutex mutex_;
	std::set<u64> pinned_;
};

TEST_F(Type1Threads, OneContainer)
{
	// A pin may race with the unmap of what it is in, and lose.
	expect_warning("unpin outside any mapping");
	expect_warning("a device does not unpin what is unmapped");
	expect_warning("mapping freed while pinned by a device");

	constexpr auto kTime = std::chrono::milliseconds(1500);
	constexpr u64 kSlots = 16, kSlotPages = 8;
	mock::Hardware other;
	other.driver = 2;
	iommu_group first(&hardware), second(&other), emulated;
	auto c = std::make_unique<Container>();
	ASSERT_EQ(c->attach(first), 0);
	ASSERT_EQ(c->attach(emulated, true), 0);
	auto device = std::make_unique<SharedDevice>(*c, emulated);

	std::atomic<bool> stop = false;
	std::atomic<u64> calls = 0, good = 0;
	const auto worker = [&](unsigned int seed, auto step) {
		return std::thread([&, seed, step] {
			const mock::As as_process(&process);
			std::mt19937_64 rng(seed);

			while (!stop) {
				good += step(rng) >= 0;
				calls++;
			}
		});
	};
	const auto slot = [](std::mt19937_64 &rng) { return rng() % kSlots * kSlotPages * kPage; };
	const auto map = [&](std::mt19937_64 &rng) {
		const u64 iova = slot(rng);
		return c->map(iova, kUva + iova, kSlotPages * kPage);
	};
	const auto unmap = [&](std::mt19937_64 &rng) {
		return c->unmap(slot(rng), kSlotPages * kPage);
	};
	const auto unmap_dirty = [&](std::mt19937_64 &rng) {
		std::vector<u64> bitmap(kSlots * kSlotPages / 64);
		return rng() % 2 ? c->unmap_dirty(slot(rng), kSlotPages * kPage, bitmap) :
				   c->unmap_dirty(0, kSlots * kSlotPages * kPage, bitmap);
	};
	const auto pin = [&](std::mt19937_64 &rng) -> s64 {
		const u64 iova = slot(rng) + rng() % kSlotPages * kPage;
		if (rng() % 3 == 0)
			device->unpin_in(iova, kPage);
		else if (rng() % 8 == 0)
			c->unpin(iova, 1); // whether it is pinned or not
		else
			device->pin(iova);
		return 0;
	};
	const auto dirty = [&](std::mt19937_64 &rng) -> s64 {
		std::vector<u64> bitmap(kSlots * kSlotPages / 64);
		switch (rng() % 4) {
		case 0:
			return c->start_dirty();
		case 1:
			return c->stop_dirty();
		default:
			return c->get_dirty(0, kSlots * kSlotPages * kPage, bitmap);
		}
	};
	const auto groups = [&](std::mt19937_64 &rng) -> s64 {
		u8 bytes[64] = {};
		const int ret = c->attach(second);
		c->rw(slot(rng), bytes, sizeof(bytes), rng() % 2);
		get_info(*c);
		c->detach(second);
		return ret;
	};

	// A scheduler of the group's devices, which asks for no lock of the container.
	const auto switching = [&](std::mt19937_64 &) -> s64 {
		void *domain = nullptr;

		EXPECT_EQ(type1_find_domain(c->get(), &first, &domain), 0);
		type1_cut(domain, &first);
		return type1_restore(domain, &first);
	};

	std::vector<std::thread> threads;
	threads.push_back(worker(1, map));
	threads.push_back(worker(2, map));
	threads.push_back(worker(3, unmap));
	threads.push_back(worker(4, unmap));
	threads.push_back(worker(5, pin));
	threads.push_back(worker(6, pin));
	threads.push_back(worker(7, dirty));
	threads.push_back(worker(8, groups));
	threads.push_back(worker(9, unmap_dirty));
	threads.push_back(worker(10, switching));
	std::this_thread::sleep_for(kTime);
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	printf("%llu calls, %llu good\n", calls.load(), good.load());
	EXPECT_GT(good, 100u);

	device->unpin_in(0, 0);
	device.reset();
	c->detach(first);
	c->detach(emulated);
	c.reset();
}

// This binary is built without ASan: a core that frees only under ASan, and keeps
// memory otherwise, fails here.
TEST_F(Type1Threads, WhatIsUnmappedIsFreed)
{
	iommu_group group(&hardware);
	Container c;
	ASSERT_EQ(c.attach(group), 0);
	// What the container keeps for its owner comes with the first mapping.
	ASSERT_EQ(c.map(0, kUva, kPage), 0);

	const s64 before = mock::live_blocks();
	for (const u64 pages : {1, 3}) {
		ASSERT_EQ(c.map(kPage, uva(1), pages * kPage), 0);
		EXPECT_EQ(mock::live_blocks(), before + 1);
		ASSERT_EQ(c.unmap(kPage, pages * kPage), static_cast<s64>(pages * kPage));
		EXPECT_EQ(mock::live_blocks(), before);
	}
	mock::plan.fail(mock::Fail::kAlloc, 1);
	EXPECT_EQ(c.map(kPage, uva(1), kPage), -ENOMEM);
	c.detach(group);
}

TEST_F(Type1Threads, ContainersDoNotMeet)
{
	std::vector<std::thread> threads;

	for (int i = 0; i < 4; i++)
		threads.emplace_back([this, i] {
			const mock::As as_process(&process);
			iommu_group group(&hardware, i);

			for (int round = 0; round < 50; round++) {
				Container c;

				EXPECT_EQ(c.attach(group), 0);
				EXPECT_EQ(c.map(0, uva(static_cast<u64>(i)), 16 * kPage), 0);
				EXPECT_EQ(c.start_dirty(), 0);
				c.detach(group);
			}
		});
	for (std::thread &thread : threads)
		thread.join();
}

} // namespace
