// SPDX-License-Identifier: GPL-2.0
//
// The world of type1's random tests and fuzzers: two processes whose memory
// has pages of all kinds, six groups behind three IOMMUs that cannot all share
// a domain (and two groups without hardware), a container and a device that
// pins.
#pragma once

#include "choices.hpp"
#include "type1_model.hpp"

class Type1World : public Type1Test {
protected:
	// Mappings lie in a few pages at zero, in the middle, and at the last address.
	static constexpr u64 kSpan = 80;
	static constexpr u64 kBases[] = {0, u64{1} << 32, ~u64{0} - kSpan *kPage + 1};
	static constexpr u64 kAt = 0x7000'0000;
	static constexpr u32 kLimit = 20;

	void SetUp() override;

	// Detaches all groups and takes the world down; called once, at the end.
	void finish();

	// Called before a pin of device goes, after a group was detached, and when
	// all were.
	virtual void before_unpin(u64 iova)
	{
	}
	virtual void detached(Type1Model::Group &group) = 0;
	virtual void end()
	{
	}

	void give_memory(mock::Process &to, u64 pfn) const;

	// Draws how many pages a process gets at a time, and whether pages are large.
	void draw_mood();

	u64 below(u64 n)
	{
		return choices->below(n);
	}

	void any_range(u64 &iova, u64 &npages);
	Type1Model::Group &any_group();
	void detach(Type1Model::Group &group);

	Choices *choices = nullptr;
	// Pages of the largest range, and what each process may lock.
	u64 most_pages = kSpan;
	u64 rlimit_pages = 160;

	mock::Process second;
	mock::Hardware units[3];
	Type1Model model{{&process, &second}};
	std::unique_ptr<Container> c;
	std::unique_ptr<PinningDevice> device;
};
