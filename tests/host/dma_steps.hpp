// SPDX-License-Identifier: GPL-2.0
//
// Random steps on parts of dma/ beside plain models of them. The random tests
// and the fuzzers take them, each with decisions of its own.
#pragma once

#include <set>
#include <vector>

#include "choices.hpp"
#include "dma/dirty_bitmap.hpp"
#include "dma/iova_space.hpp"
#include "host_test.hpp"

// IovaSpace beside a set of addresses, at zero or at the top. A failed
// allocation changes nothing but what was already taken out.
class IovaSpaceSteps {
public:
	IovaSpaceSteps(Choices &choices, bool at_top)
		: choices_(choices), base_(at_top ? vfio::kU64Max - kEnd + 1 : 0)
	{
		EXPECT_TRUE(space_.unbounded());
		EXPECT_EQ(space_.span(), vfio::kAllIova);
		EXPECT_TRUE(space_.restrict_to(at(0, kEnd - 1)).ok());
		for (u64 i = 0; i < kEnd; i++)
			model_.insert(i);
	}

	// One step, and compares. Returns false when nothing is left, which no
	// container keeps.
	bool step()
	{
		const u64 first = choices_.below(kEnd);
		const u64 last = first + choices_.below(kEnd - first);
		const bool more = operate(first, last);

		if (more)
			compare();
		return more;
	}

private:
	static constexpr u64 kEnd = 96;

	vfio::IovaRange at(u64 first, u64 last) const
	{
		return {{base_ + first}, {base_ + last}};
	}

	bool operate(u64 first, u64 last)
	{
		const u64 what = choices_.below(8);
		std::set<u64> next;

		if (what == 0) {
			copy();
			return true;
		}
		if (what == 1) {
			bool valid = true;

			for (u64 i = first; i <= last; i++)
				valid = valid && model_.contains(i);
			EXPECT_EQ(space_.valid(at(first, last)), valid);
			return true;
		}
		for (const u64 i : model_)
			if ((i >= first && i <= last) == (what == 2))
				next.insert(i);
		if (what == 2) {
			if (next.empty())
				return false;
			EXPECT_TRUE(space_.restrict_to(at(first, last)).ok());
		} else {
			if (what == 3)
				mock::plan.fail(mock::Fail::kAlloc);
			const vfio::Result<void> result = space_.exclude(at(first, last));
			const bool fired = mock::plan.fired();
			mock::plan.reset();
			// It can only fail where it splits, which is all that it does.
			if (fired) {
				EXPECT_EQ(result.error(), vfio::Error(ENOMEM));
				return true;
			}
			EXPECT_EQ(result.ok(), !next.empty());
			if (next.empty())
				return false;
		}
		model_ = next;
		return true;
	}

	void copy()
	{
		vfio::IovaSpace copy;

		mock::plan.fail(mock::Fail::kAlloc, 1 + choices_.below(4));
		if (copy.copy(space_).ok()) {
			EXPECT_FALSE(mock::plan.fired());
			EXPECT_EQ(copy.count(), space_.count());
			space_.swap(copy);
		} else {
			EXPECT_TRUE(mock::plan.fired());
		}
		mock::plan.reset();
	}

	void compare() const
	{
		std::set<u64> listed;
		u64 windows = 0, before = 0;

		space_.each([&](vfio::IovaRange window) {
			ASSERT_LE(window.first, window.last);
			ASSERT_LT(window.last.value - base_, kEnd);
			// In order, and not touching.
			ASSERT_TRUE(windows++ == 0 || window.first.value - base_ > before + 1);
			before = window.last.value - base_;
			for (u64 i = window.first.value - base_; i <= before; i++)
				listed.insert(i);
		});
		ASSERT_EQ(listed, model_);
		ASSERT_EQ(space_.count(), windows);
		ASSERT_EQ(space_.span(), at(*model_.begin(), *model_.rbegin()));
	}

	Choices &choices_;
	const u64 base_;
	vfio::IovaSpace space_;
	std::set<u64> model_;
};

// DirtyBitmap beside a list of bits.
class DirtyBitmapSteps {
public:
	DirtyBitmapSteps(Choices &choices, u64 nbits) : choices_(choices), model_(nbits)
	{
	}

	void reserve()
	{
		const u64 nbits = model_.size();

		if (choices_.byte() == 0) {
			mock::plan.fail(mock::Fail::kVAlloc);
			ASSERT_EQ(bitmap_.reserve(nbits).error(), vfio::Error(ENOMEM));
		}
		bitmap_.set(0, nbits);
		ASSERT_TRUE(bitmap_.reserve(nbits).ok());
	}

	void step()
	{
		const u64 nbits = model_.size();
		const u64 first = choices_.below(nbits + 2), n = choices_.below(nbits + 2);
		const u64 from = choices_.below(nbits), count = 1 + choices_.below(nbits - from);
		const u64 shift = choices_.below(130);

		switch (choices_.below(8)) {
		case 0:
			bitmap_.clear(first, n);
			mark(first, first + n, false);
			break;
		case 1:
			bitmap_.set(first, vfio::kU64Max - choices_.below(4));
			mark(first, nbits, true);
			break;
		default:
			bitmap_.set(first, n);
			mark(first, first + n, true);
		}
		std::vector<u64> words(vfio::DirtyBitmap::words_for(shift + count) + 1);
		std::vector<u64> expected = words;
		for (u64 i = 0; i < count; i++)
			expected[(shift + i) / 64] |= u64{model_[from + i]} << (shift + i) % 64;
		bitmap_.collect(from, count, words.data(), shift);
		ASSERT_EQ(words, expected);
	}

private:
	void mark(u64 first, u64 end, bool dirty)
	{
		for (u64 i = first; i < std::min<u64>(end, model_.size()); i++)
			model_[i] = dirty;
	}

	Choices &choices_;
	vfio::DirtyBitmap bitmap_;
	std::vector<bool> model_;
};
