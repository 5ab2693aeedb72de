// SPDX-License-Identifier: GPL-2.0
//
// RangeTree against std::map: inserts, erases and every search.
#include <map>
#include <memory>

#include "fuzz.hpp"
#include "host_test.hpp"
#include "range_tree_check.hpp"

using namespace vfio;

namespace {

struct Element : RangeNode<Element> {
	explicit Element(IovaRange range) : range_(range)
	{
	}

	IovaRange range() const
	{
		return range_;
	}

	const IovaRange range_;
};

class RangeTreeFuzz : public fuzz::Input<HostTest> {
	using Input::Input;
	using Oracle = std::map<u64, std::unique_ptr<Element>>;

	// One byte of address near zero or near the top, or anything.
	u64 address()
	{
		const u8 kind = bytes.byte();

		if (kind < 120)
			return kind;
		if (kind < 240)
			return kU64Max - (kind - 120);
		return bytes.hostile();
	}

	IovaRange some_range()
	{
		const u64 first = address(), size = below(16);

		return {{first}, {first + min(size, kU64Max - first)}};
	}

	Oracle::iterator from(u64 first)
	{
		auto at = oracle.upper_bound(first);

		if (at != oracle.begin() && std::prev(at)->second->range_.last.value >= first)
			--at;
		return at;
	}

	Element *element(Oracle::iterator at)
	{
		return at == oracle.end() ? nullptr : at->second.get();
	}

	void search(IovaRange range)
	{
		const auto at = from(range.first.value);
		Element *found = element(at);
		const auto if_at_or_before = [&](Iova limit) {
			return found && found->range_.first <= limit ? found : nullptr;
		};

		ASSERT_EQ(tree.first_from(range.first), found);
		ASSERT_EQ(tree.find(range.first), if_at_or_before(range.first));
		ASSERT_EQ(tree.first_in(range), if_at_or_before(range.last));
		if (!found)
			return;
		ASSERT_EQ(tree.next(*found), element(std::next(at)));
		ASSERT_EQ(tree.prev(*found),
			  at == oracle.begin() ? nullptr : element(std::prev(at)));
	}

	void fuzz() override
	{
		while (!bytes.empty()) {
			const u64 what = below(4);
			const IovaRange range = some_range();
			const auto there = from(range.first.value);

			if (what < 2) {
				auto made = std::make_unique<Element>(range);
				const bool overlaps = there != oracle.end() &&
						      there->second->range_.first <= range.last;

				ASSERT_EQ(tree.insert(*made), !overlaps);
				if (!overlaps)
					oracle[range.first.value] = std::move(made);
			} else if (what == 2 && there != oracle.end()) {
				tree.erase(*there->second);
				oracle.erase(there);
			} else if (what == 3 && range.first.value == 119) {
				tree.clear();
				oracle.clear();
			}
			ASSERT_TRUE(invariants_hold(tree));
			ASSERT_EQ(tree.size(), oracle.size());
			search(range);
			search(some_range());
		}
		auto at = oracle.begin();
		for (Element &each : tree)
			ASSERT_EQ(&each, element(at++));
		ASSERT_EQ(at, oracle.end());
		ASSERT_EQ(tree.first(), element(oracle.begin()));
	}

	Oracle oracle;
	RangeTree<Element> tree;
};

} // namespace

FUZZ_TARGET(RangeTreeFuzz)
