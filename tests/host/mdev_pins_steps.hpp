// SPDX-License-Identifier: GPL-2.0
//
// Random steps on the pins that mdev.ko keeps for a driver, beside a plain map
// of counts: mappings that come and go, arguments of any kind, steps that fail,
// and calls that come while another one has its pages pinned and not counted
// yet. The random test and the fuzzer take them.
#pragma once

#include "choices.hpp"
#include "mdev_pins_world.hpp"

class PinsSteps : public PinsTest {
protected:
	// Begins with nothing mapped or pinned, with a device to map for or without.
	void begin(bool dma);
	// One step, and compares.
	void step();

	Choices *choices = nullptr;

private:
	static constexpr u64 kSpan = 2200;
	static constexpr u64 kLast = (u64{1} << 52) - 1;

	struct Mapping {
		u64 npages;
		u32 prot;
	};
	using Counts = std::map<u64, u64>;

	u64 below(u64 n)
	{
		return choices->below(n);
	}

	// Of a page; of a range, whose end may not be.
	u64 near(u64 span);
	u64 length();
	// Returns 0, or what VFIO says first.
	int allowed(u64 first, u64 npages, u32 prot) const;
	Counts::iterator end_of(u64 first, u64 npages);
	u64 pinned_in(u64 first, u64 npages);
	void forget(u64 first, u64 npages);
	void interfere(u64 first, u64 last);
	void pin_step();
	void operate();

	std::map<u64, Mapping> mappings_;
	Counts counts_;
	// Whether what was done meanwhile makes the pin fail.
	bool doomed_ = false;
};
