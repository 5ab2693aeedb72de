// SPDX-License-Identifier: GPL-2.0
//
// Threads that do random things to one container, and what must hold in any
// order: after an unmap returned none of its pages is pinned; nothing is
// written outside a bitmap, and no bit set where nothing is ever mapped; a
// call fails only with an error that the other threads, or an injected failure,
// can cause; in the end nothing is pinned or charged. The mock reports a page
// that is unpinned while some domain still maps it. No warning is expected: the device
// does what the kernel asks of drivers.
//
// Runs with ASan and with TSan. HOST_TEST_SEED gives the threads' choices
// again, not their order.
#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <shared_mutex>
#include <thread>

#include "type1_container.hpp"

namespace {

using Rng = std::mt19937_64;

// Areas of IOVAs, of which the first half is used: one for each owner, and the
// last for all.
constexpr u64 kOwners = 2, kArea = 128, kUsed = 64;
constexpr u64 kBase = u64{1} << 30;

constexpr u64 area(u64 n)
{
	return kBase + n * kArea * kPage;
}

// What a driver of emulated devices does: it knows what it has pinned, and
// where an unmap finds nothing, waits for those who are about to note it.
class Driver {
public:
	Driver(Container &container, iommu_group &group) : container_(container), group_(group)
	{
		device_.dma_unmap = [this](u64 iova, u64 size) {
			{
				const std::shared_lock inside(inside_);
				if (unpin_in(iova, iova + (size - 1)))
					return;
			}
			finish_calls();
		};
		container_.add_device(device_);
	}

	~Driver()
	{
		unpin_in(0, ~u64{0});
		container_.remove_device(device_);
	}

	int pin(u64 iova, u32 npages)
	{
		const std::shared_lock inside(inside_);
		const int ret = container_.pin(group_, iova, npages);
		const std::lock_guard guard(mutex_);

		for (int i = 0; i < ret; i++)
			pins_.insert(iova + static_cast<u64>(i) * kPage);
		return ret;
	}

	void unpin(u64 first, u64 last)
	{
		const std::shared_lock inside(inside_);

		unpin_in(first, last);
	}

	// Waits for the calls that are under way.
	void finish_calls()
	{
		const std::unique_lock all(inside_);
	}

private:
	bool unpin_in(u64 first, u64 last)
	{
		std::vector<u64> mine;
		{
			const std::lock_guard guard(mutex_);
			const auto from = pins_.lower_bound(first), to = pins_.upper_bound(last);

			mine.assign(from, to);
			pins_.erase(from, to);
		}
		for (const u64 iova : mine)
			container_.unpin(iova, 1);
		return !mine.empty();
	}

	Container &container_;
	iommu_group &group_;
	vfio_device device_;
	std::shared_mutex inside_;
	std::mutex mutex_;
	std::multiset<u64> pins_;
};

class Type1Shared : public Type1Test, public testing::WithParamInterface<bool> {
protected:
	static constexpr auto kTime = std::chrono::milliseconds(2000);

	u64 below(Rng &rng, u64 n)
	{
		return rng() % n;
	}

	// The first failures are shown, and all threads come to an end.
	void expect(bool good, const std::string &what)
	{
		if (!good && failures.fetch_add(1) < 5)
			ADD_FAILURE() << what;
	}

	bool running() const
	{
		return !failures && std::chrono::steady_clock::now() < end;
	}

	// Returns whether the call succeeded; notes one that failed for another
	// reason than these, or ENOMEM, EFAULT or EINTR where calls are made to fail.
	bool judge(const char *what, s64 result, std::initializer_list<int> errors = {})
	{
		calls++;
		if (result >= 0)
			return true;
		const bool known =
			std::any_of(errors.begin(), errors.end(),
				    [&](int error) { return result == -error; }) ||
			(failing() && (result == -ENOMEM || result == -EFAULT || result == -EINTR));
		expect(known, std::string(what) + " is " + std::to_string(result));
		return false;
	}

	bool failing() const
	{
		return GetParam();
	}

	// A bitmap as a caller has it in the middle of other things.
	struct Guarded {
		explicit Guarded(u64 npages) : npages(npages), words((npages + 63) / 64 + 8, kGuard)
		{
			std::fill(words.begin() + 4, words.end() - 4, 0);
		}
		bool intact() const
		{
			return std::all_of(words.begin(), words.begin() + 4, is_guard) &&
			       std::all_of(words.end() - 4, words.end(), is_guard);
		}
		bool bit(u64 page) const
		{
			return words[4 + page / 64] >> page % 64 & 1;
		}
		bool behind_end() const
		{
			return npages % 64 && words[words.size() - 5] >> npages % 64;
		}
		vfio_bitmap bitmap()
		{
			return {kPage, (words.size() - 8) * sizeof(u64),
				reinterpret_cast<__u64 *>(words.data() + 4)};
		}

		static bool is_guard(u64 word)
		{
			return word == kGuard;
		}
		static constexpr u64 kGuard = 0x5a5a'0000'1234'5a5a;
		u64 npages;
		std::vector<u64> words;
	};

	s64 unmap_reporting(u64 iova, Guarded &guarded);
	long report(u64 iova, Guarded &guarded);
	void own(u64 owner, Rng rng);
	void fight(Rng rng);
	void track(Rng rng);
	void drive(Rng rng);
	void join_and_leave(Rng rng);
	void make_fail(Rng rng);

	mock::Hardware other;
	std::unique_ptr<iommu_group> first, second, emulated;
	std::unique_ptr<Container> c;
	std::unique_ptr<Driver> driver;
	std::chrono::steady_clock::time_point end;
	std::atomic<u64> calls = 0, good = 0, failures = 0;
};

s64 Type1Shared::unmap_reporting(u64 iova, Guarded &guarded)
{
	struct {
		u32 argsz, flags;
		u64 iova, size;
		vfio_bitmap bitmap;
	} arg = {sizeof(arg), VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, iova, guarded.npages * kPage,
		 guarded.bitmap()};
	const mock::UserWindow window(guarded.words.data(), guarded.words.size() * sizeof(u64));
	const long ret = c->ioctl(VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg));

	return ret < 0 ? ret : static_cast<s64>(arg.size);
}

long Type1Shared::report(u64 iova, Guarded &guarded)
{
	struct {
		u32 argsz, flags;
		vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {sizeof(arg),
		 VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		 {iova, guarded.npages * kPage, guarded.bitmap()}};
	const mock::UserWindow window(guarded.words.data(), guarded.words.size() * sizeof(u64));

	return c->ioctl(VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg));
}

// Maps pages that nobody else maps; they are its own again after the unmap.
void Type1Shared::own(u64 owner, Rng rng)
{
	const mock::As as_process(&process);

	while (running()) {
		const u64 npages = 1 + below(rng, below(rng, 3) ? 8 : kUsed);
		const u64 at = below(rng, 2) ? 0 : below(rng, kUsed - npages + 1);
		const u64 page = owner * kUsed + at;
		const u64 iova = area(owner) + at * kPage;

		if (!judge("map of one's own", c->map(iova, uva(page), npages * kPage)))
			continue;
		if (below(rng, 4) == 0)
			std::this_thread::yield();

		s64 unmapped = -1;
		bool failed = false;
		if (below(rng, 3) == 0) {
			Guarded guarded(kUsed);

			unmapped = unmap_reporting(area(owner), guarded);
			judge("unmap with bitmap", unmapped, {EINVAL});
			expect(guarded.intact(), "unmap writes outside the bitmap");
		} else if (below(rng, 2)) {
			unmapped = c->unmap(area(owner), kArea * kPage);
			judge("unmap of an area", unmapped);
		}
		// EFAULT may mean that all is unmapped, but the size was not copied.
		failed = failing() && unmapped < 0;
		while (unmapped < 0) {
			unmapped = c->unmap(iova, npages * kPage);
			judge("unmap of one's own", unmapped);
			failed |= unmapped < 0;
		}
		expect(unmapped == static_cast<s64>(npages * kPage) || (failed && !unmapped),
		       "not unmapped as mapped");
		// The device may be about to unpin by itself: wait for that.
		driver->finish_calls();
		for (u64 i = 0; i < npages; i++)
			expect(mock::phys::pins(kPfn + page + i) == 0,
			       "pinned after it was unmapped");
		good++;
	}
}

// Mappings of other lengths in each other's place.
void Type1Shared::fight(Rng rng)
{
	const mock::As as_process(&process);

	while (running()) {
		const u64 at = below(rng, 4) * 8;
		const u64 npages = below(rng, 2) ? 8 : 1 + below(rng, kUsed - at);
		const u64 iova = area(kOwners) + at * kPage;

		switch (below(rng, 4)) {
		case 0:
		case 1:
			judge("map of what all want",
			      c->map(iova, uva(kOwners * kUsed + at), npages * kPage), {EEXIST});
			break;
		case 2:
			judge("unmap of what all want", c->unmap(iova, npages * kPage), {EINVAL});
			break;
		default:
			judge("unmap of all that all want", c->unmap(area(kOwners), kArea * kPage));
		}
	}
}

void Type1Shared::track(Rng rng)
{
	const mock::As as_process(&process);

	while (running()) {
		if (below(rng, 8) == 0) {
			judge("start or stop", below(rng, 4) ? c->start_dirty() : c->stop_dirty());
			continue;
		}
		const u64 from = below(rng, kOwners + 1);
		const u64 npages = below(rng, 2) ? (1 + below(rng, kOwners + 1 - from)) * kArea -
							   below(rng, kArea - kUsed) :
						   1 + below(rng, kUsed);
		Guarded guarded(npages);

		good += judge("report", report(area(from), guarded), {EINVAL});
		expect(guarded.intact(), "report writes outside the bitmap");
		expect(!guarded.behind_end(), "bits behind the end");
		for (u64 page = 0; page < npages; page++)
			if (page % kArea >= kUsed)
				expect(!guarded.bit(page), "dirty where nothing is ever mapped");
	}
}

void Type1Shared::drive(Rng rng)
{
	const mock::As as_process(&process);
	u8 bytes[2 * kPage] = {};

	while (running()) {
		const u64 at = below(rng, 2) ? 0 : below(rng, kUsed);
		const u64 iova = area(below(rng, kOwners + 1)) + at * kPage;

		switch (below(rng, 3)) {
		case 0:
			good += judge(
				"pin",
				driver->pin(iova, static_cast<u32>(1 + below(rng, kUsed - at))),
				{EINVAL});
			break;
		case 1:
			driver->unpin(iova, iova + 8 * kPage - 1);
			break;
		default:
			judge("copy",
			      c->rw(iova, bytes, 1 + below(rng, sizeof(bytes)), below(rng, 2)),
			      {EINVAL});
		}
	}
}

// The group is behind another kind of IOMMU, so that it gets its own domain.
void Type1Shared::join_and_leave(Rng rng)
{
	const mock::As as_process(&process);

	while (running()) {
		// EIO: no domain, where calls are made to fail.
		const bool joined = judge("attach", c->attach(*second), {EIO});

		get_info(*c);
		std::this_thread::sleep_for(std::chrono::microseconds(below(rng, 2000)));
		if (joined)
			c->detach(*second);
	}
}

void Type1Shared::make_fail(Rng rng)
{
	static constexpr mock::Fail kKinds[] = {mock::Fail::kAlloc,	  mock::Fail::kVAlloc,
						mock::Fail::kPin,	  mock::Fail::kAccount,
						mock::Fail::kCopyIn,	  mock::Fail::kCopyOut,
						mock::Fail::kDomainAlloc, mock::Fail::kDomainMap};

	while (running()) {
		mock::plan.fail(kKinds[below(rng, std::size(kKinds))], 1 + below(rng, 20));
		std::this_thread::sleep_for(std::chrono::microseconds(below(rng, 300)));
	}
	mock::plan.reset();
}

TEST_P(Type1Shared, AnyOrder)
{
	Rng rng = random("AnyOrder");
	other.driver = 2;
	first = std::make_unique<iommu_group>(&hardware, 1);
	second = std::make_unique<iommu_group>(&other, 2);
	emulated = std::make_unique<iommu_group>(nullptr, 3);
	c = std::make_unique<Container>();
	// Half of the runs pin by devices alone.
	const bool with_hardware = failing() || rng() % 2;
	if (with_hardware) {
		ASSERT_EQ(c->attach(*first), 0);
	}
	ASSERT_EQ(c->attach(*emulated, true), 0);
	driver = std::make_unique<Driver>(*c, *emulated);

	end = std::chrono::steady_clock::now() + kTime;
	std::vector<std::thread> threads;
	for (u64 owner = 0; owner < kOwners; owner++)
		threads.emplace_back([&, owner, r = Rng(rng())] { own(owner, r); });
	for (int i = 0; i < 2; i++)
		threads.emplace_back([&, r = Rng(rng())] { fight(r); });
	threads.emplace_back([&, r = Rng(rng())] { track(r); });
	threads.emplace_back([&, r = Rng(rng())] { drive(r); });
	threads.emplace_back([&, r = Rng(rng())] { join_and_leave(r); });
	if (failing())
		threads.emplace_back([&, r = Rng(rng())] { make_fail(r); });
	for (std::thread &thread : threads)
		thread.join();
	printf("%llu calls, %llu of what was looked at succeeded\n", calls.load(), good.load());
	EXPECT_GT(good, 50u);

	driver.reset();
	EXPECT_GE(c->unmap_all(), 0);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	if (with_hardware)
		c->detach(*first);
	c->detach(*emulated);
	c.reset();
}

INSTANTIATE_TEST_SUITE_P(Calls, Type1Shared, testing::Bool(),
			 [](const auto &info) { return info.param ? "AreMadeToFail" : "Succeed"; });

} // namespace
