// SPDX-License-Identifier: GPL-2.0
#include "mdev_pins_steps.hpp"

u64 PinsSteps::near(u64 span)
{
	return below(16) ? below(span) : kLast - below(800);
}

u64 PinsSteps::length()
{
	return below(4) ? 1 + below(12) : below(16) ? below(1500) : ~u64{0} - below(3);
}

int PinsSteps::allowed(u64 first, u64 npages, u32 prot) const
{
	for (u64 offset = first; offset < first + npages;) {
		auto found = mappings_.upper_bound(offset);

		if (found == mappings_.begin() || offset - (--found)->first >= found->second.npages)
			return -EINVAL;
		if ((found->second.prot & prot) != prot)
			return -EPERM;
		offset = found->first + found->second.npages;
	}
	return 0;
}

PinsSteps::Counts::iterator PinsSteps::end_of(u64 first, u64 npages)
{
	return npages > kLast - first ? counts_.end() : counts_.lower_bound(first + npages);
}

u64 PinsSteps::pinned_in(u64 first, u64 npages)
{
	return static_cast<u64>(std::distance(counts_.lower_bound(first), end_of(first, npages)));
}

void PinsSteps::forget(u64 first, u64 npages)
{
	counts_.erase(counts_.lower_bound(first), end_of(first, npages));
}

// What another caller does while a pin of [first, last] has its pages and has
// not counted them. Notes in doomed_ whether the pin must fail for it.
void PinsSteps::interfere(u64 first, u64 last)
{
	const u64 at = near(kSpan);
	const u64 n = 1 + below(30);

	vdev.after_pin = nullptr;
	if (choices->flag()) {
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

void PinsSteps::pin_step()
{
	const u64 first = near(kSpan);
	const u64 npages = length();
	const u32 prot = below(8) ? 1 + static_cast<u32>(below(3)) : choices->byte();
	const bool range = npages && npages - 1 <= kLast - first && prot && prot < 4;

	doomed_ = false;
	if (below(6) == 0 && range)
		vdev.after_pin = [&, first, last = first + npages - 1](u64, u64) {
			interfere(first, last);
		};
	else if (below(6) == 0)
		plan_failure(*choices);

	const int want = !range ? -EINVAL : allowed(first, npages, prot);
	const int result = pin(first, npages, prot);
	const bool failed = mock::plan.fired();

	mock::plan.reset();
	vdev.after_pin = nullptr;
	if (doomed_) {
		EXPECT_EQ(result, -EINVAL);
	} else if (!failed || result == 0) {
		EXPECT_EQ(result == 0, want == 0) << result;
	}
	for (u64 i = 0; result == 0 && i < npages; i++)
		counts_[first + i]++;
}

void PinsSteps::operate()
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

void PinsSteps::begin(bool dma)
{
	destroy();
	for (const auto &[first, mapping] : mappings_)
		vdev.unmap(first);
	mappings_.clear();
	counts_.clear();
	create(dma);
}

void PinsSteps::step()
{
	operate();
	check(counts_);
	mdev_pin_run run;
	const u64 at = near(kSpan);
	EXPECT_EQ(mdev_pins_find(pins, at << 12, &run), counts_.contains(at));
}
