// SPDX-License-Identifier: GPL-2.0
//
// IovaSpace against a set of addresses, at zero or at the top; a failed
// allocation changes nothing but what was already taken out.
#include <set>

#include "dma/iova_space.hpp"
#include "fuzz.hpp"
#include "host_test.hpp"

using namespace vfio;

namespace {

class IovaSpaceFuzz : public fuzz::Input<HostTest> {
	using Input::Input;

	static constexpr u64 kEnd = 96;

	IovaRange at(u64 first, u64 last) const
	{
		return {{base + first}, {base + last}};
	}

	void compare() const
	{
		std::set<u64> listed;
		u64 windows = 0, before = 0;

		space.each([&](IovaRange window) {
			ASSERT_LE(window.first, window.last);
			ASSERT_LT(window.last.value - base, kEnd);
			// In order, and not touching.
			ASSERT_TRUE(windows++ == 0 || window.first.value - base > before + 1);
			before = window.last.value - base;
			for (u64 i = window.first.value - base; i <= before; i++)
				listed.insert(i);
		});
		ASSERT_EQ(listed, model);
		ASSERT_EQ(space.count(), windows);
		ASSERT_EQ(space.span(), at(*model.begin(), *model.rbegin()));
	}

	// False when nothing is left, which no container keeps.
	bool step(u64 first, u64 last)
	{
		const u64 what = below(8);
		std::set<u64> next;

		if (what == 0) {
			IovaSpace copy;

			mock::plan.fail(mock::Fail::kAlloc, 1 + below(4));
			if (copy.copy(space).ok()) {
				EXPECT_FALSE(mock::plan.fired());
				space.swap(copy);
			} else {
				EXPECT_TRUE(mock::plan.fired());
			}
			mock::plan.reset();
			return true;
		}
		if (what == 1) {
			bool valid = true;

			for (u64 i = first; i <= last; i++)
				valid = valid && model.contains(i);
			EXPECT_EQ(space.valid(at(first, last)), valid);
			return true;
		}
		for (const u64 i : model)
			if ((i >= first && i <= last) == (what == 2))
				next.insert(i);
		if (what == 2) {
			if (next.empty())
				return false;
			EXPECT_TRUE(space.restrict_to(at(first, last)).ok());
		} else {
			if (what == 3)
				mock::plan.fail(mock::Fail::kAlloc);
			const Result<void> result = space.exclude(at(first, last));
			const bool fired = mock::plan.fired();
			mock::plan.reset();
			// It can only fail where it splits, which is all that it does.
			if (fired) {
				EXPECT_EQ(result.error(), Error(ENOMEM));
				return true;
			}
			EXPECT_EQ(result.ok(), !next.empty());
			if (next.empty())
				return false;
		}
		model = next;
		return true;
	}

	void fuzz() override
	{
		base = bytes.flag() ? kU64Max - kEnd + 1 : 0;
		ASSERT_TRUE(space.unbounded());
		ASSERT_EQ(space.span(), kAllIova);
		ASSERT_TRUE(space.restrict_to(at(0, kEnd - 1)).ok());
		for (u64 i = 0; i < kEnd; i++)
			model.insert(i);
		while (!bytes.empty()) {
			const u64 first = below(kEnd), last = first + below(kEnd - first);

			if (!step(first, last))
				break;
			compare();
		}
		IovaSpace none;
		space.swap(none);
	}

	IovaSpace space;
	std::set<u64> model;
	u64 base = 0;
};

} // namespace

FUZZ_TARGET(IovaSpaceFuzz)
