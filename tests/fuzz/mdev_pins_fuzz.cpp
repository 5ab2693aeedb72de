// SPDX-License-Identifier: GPL-2.0
//
// The pins that mdev.ko keeps for a driver against a plain map of counts:
// mappings that come and go, arguments of any kind, steps that fail, and calls
// that come while another one has its pages pinned and not counted yet.
#include "fuzz.hpp"
#include "mdev_pins_world.hpp"

namespace {

class MdevPinsFuzz : public fuzz::Input<PinsTest> {
	using Input::Input;

	static constexpr u64 kSpan = 2200;
	static constexpr u64 kLast = (u64{1} << 52) - 1;

	struct Mapping {
		u64 npages;
		u32 prot;
	};

	u64 near(u64 span)
	{
		return below(16) ? below(span) : kLast - below(800);
	}

	// Of a range, whose end may not be.
	u64 length()
	{
		return below(4) ? 1 + below(12) : below(16) ? below(1500) : ~u64{0} - below(3);
	}

	// 0 or what VFIO says first.
	int allowed(u64 first, u64 npages, u32 prot) const
	{
		for (u64 offset = first; offset < first + npages;) {
			auto found = mappings_.upper_bound(offset);

			if (found == mappings_.begin() ||
			    offset - (--found)->first >= found->second.npages)
				return -EINVAL;
			if ((found->second.prot & prot) != prot)
				return -EPERM;
			offset = found->first + found->second.npages;
		}
		return 0;
	}

	auto end_of(u64 first, u64 npages)
	{
		return npages > kLast - first ? counts_.end() : counts_.lower_bound(first + npages);
	}

	u64 pinned_in(u64 first, u64 npages)
	{
		return static_cast<u64>(
			std::distance(counts_.lower_bound(first), end_of(first, npages)));
	}

	void forget(u64 first, u64 npages)
	{
		counts_.erase(counts_.lower_bound(first), end_of(first, npages));
	}

	// What somebody does while a pin of [first, last] has pages; whether it
	// makes the pin fail.
	void interfere(u64 first, u64 last)
	{
		const u64 at = near(kSpan);
		const u64 n = 1 + below(30);

		vdev.after_pin = nullptr;
		if (bytes.flag()) {
			const u64 dropped = drop(at, n);

			// Its own counts go with the others.
			EXPECT_GE(dropped, pinned_in(at, n));
			forget(at, n);
			doomed_ = at <= last && first <= at + (n - 1);
			return;
		}
		if (pin(at, n, 1) == 0)
			for (u64 i = 0; i < n; i++)
				counts_[at + i]++;
	}

	void pin_step()
	{
		const u64 first = near(kSpan);
		const u64 npages = length();
		const u32 prot = below(8) ? 1 + static_cast<u32>(below(3)) : bytes.byte();
		const bool range = npages && npages - 1 <= kLast - first && prot && prot < 4;

		doomed_ = false;
		if (below(6) == 0 && range)
			vdev.after_pin = [&, first, last = first + npages - 1](u64, u64) {
				interfere(first, last);
			};
		else if (below(6) == 0)
			fuzz::plan_failure(bytes);

		const int want = !range ? -EINVAL : allowed(first, npages, prot);
		const int result = pin(first, npages, prot);
		const bool failed = mock::plan.fired();

		mock::plan.reset();
		vdev.after_pin = nullptr;
		if (doomed_)
			EXPECT_EQ(result, -EINVAL);
		else if (!failed || result == 0)
			EXPECT_EQ(result == 0, want == 0) << result;
		for (u64 i = 0; result == 0 && i < npages; i++)
			counts_[first + i]++;
	}

	void operate()
	{
		switch (below(8)) {
		case 0: {
			const u64 first = near(kSpan) & ~u64{127};
			const u64 npages = 1 + below(128);
			const u32 prot = 1 + static_cast<u32>(below(3));

			if (mappings_.contains(first)) {
				vdev.unmap(first);
				forget(first, mappings_[first].npages);
				mappings_.erase(first);
				break;
			}
			vdev.map(first, npages, 0x10000 + (first & 0xffff) * 3, prot, 1 + below(2));
			mappings_[first] = {npages, prot};
			break;
		}
		case 1: {
			// Mappings that go on where one ends.
			for (u64 first = 0; first < kSpan; first += 128)
				if (!mappings_.contains(first)) {
					vdev.map(first, 128, 0x80000 + first);
					mappings_[first] = {128, 3};
				}
			break;
		}
		case 2: {
			const u64 first = near(kSpan);
			const u64 npages = length();

			EXPECT_EQ(drop(first, npages & kLast),
				  npages & kLast ? pinned_in(first, npages & kLast) : 0);
			if (npages & kLast)
				forget(first, npages & kLast);
			break;
		}
		case 3:
		case 4: {
			const u64 first = near(kSpan);
			const u64 npages = length();

			EXPECT_EQ(unpin(first, npages), npages ? pinned_in(first, npages) : 0);
			if (!npages)
				break;
			for (auto at = counts_.lower_bound(first); at != end_of(first, npages);)
				at = --at->second ? std::next(at) : counts_.erase(at);
			break;
		}
		default:
			pin_step();
		}
	}

	void fuzz() override
	{
		mock::set_dma_direct(bytes.flag());
		create(bytes.flag());
		while (!bytes.empty() && !HasFailure()) {
			operate();
			check(counts_);
			mdev_core_pin_run run;
			const u64 at = near(kSpan);
			EXPECT_EQ(mdev_core_pins_find(pins, at << 12, &run), counts_.contains(at));
		}
	}

	std::map<u64, Mapping> mappings_;
	std::map<u64, u64> counts_;
	bool doomed_ = false;
};

} // namespace

FUZZ_TARGET(MdevPinsFuzz)
