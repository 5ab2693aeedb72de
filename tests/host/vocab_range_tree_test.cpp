// SPDX-License-Identifier: GPL-2.0
//
// RangeTree against std::map, at random and at the edges.
#include <list>
#include <map>

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

	IovaRange range_;
};

using Tree = RangeTree<Element>;
// By first address.
using Oracle = std::map<u64, Element *>;

class RangeTreeTest : public HostTest {
protected:
	static Element *from(const Oracle &oracle, u64 address)
	{
		for (auto at = oracle.upper_bound(address); at != oracle.begin();) {
			--at;
			if (at->second->range_.last.value >= address)
				return at->second;
			break;
		}
		const auto at = oracle.lower_bound(address);
		return at == oracle.end() ? nullptr : at->second;
	}

	static void compare(const Tree &tree, const Oracle &oracle)
	{
		auto at = oracle.begin();

		for (Element &element : tree) {
			ASSERT_NE(at, oracle.end());
			ASSERT_EQ(&element, at->second);
			++at;
		}
		ASSERT_EQ(at, oracle.end());
		ASSERT_EQ(tree.empty(), oracle.empty());
	}

	// A tree of ranges inside [base, base + span), 1e5 operations.
	static void run(const char *name, u64 base, u64 span, u64 longest, size_t most)
	{
		std::mt19937_64 rng = random(name);
		const auto below = [&](u64 n) { return rng() % n; };
		std::list<Element> storage;
		Tree tree;
		Oracle oracle;

		for (int step = 0; step < 100'000; step++) {
			const u64 first = base + below(span);
			const u64 room = kU64Max - first;
			const u64 last = first + min(below(longest), room);
			const IovaRange range{{first}, {last}};
			Element *there = from(oracle, first);
			const bool overlaps = there && there->range_.first.value <= last;

			if (oracle.size() < most ? below(3) : below(8) == 0) {
				Element &element = storage.emplace_back(range);
				ASSERT_EQ(tree.insert(element), !overlaps);
				if (overlaps)
					storage.pop_back();
				else
					oracle[first] = &element;
			} else if (there) {
				tree.erase(*there);
				oracle.erase(there->range_.first.value);
				storage.remove_if([&](const Element &e) { return &e == there; });
			}

			ASSERT_TRUE(invariants_hold(tree)) << "step " << step;
			const u64 probe = base + below(span);
			Element *expected = from(oracle, probe);
			ASSERT_EQ(tree.first_from({probe}), expected) << "step " << step;
			Element *const holds = expected && expected->range_.first.value <= probe ?
						       expected :
						       nullptr;
			ASSERT_EQ(tree.find({probe}), holds);
			if (step % 10'000 == 9'999) {
				tree.clear();
				oracle.clear();
				storage.clear();
				ASSERT_FALSE(tree.find({probe}));
				continue;
			}
			const u64 end = probe + min(below(longest), kU64Max - probe);
			ASSERT_EQ(tree.first_in({{probe}, {end}}),
				  expected && expected->range_.first.value <= end ? expected :
										    nullptr);
			if (expected) {
				const auto at = oracle.find(expected->range_.first.value);
				const auto next = std::next(at);
				ASSERT_EQ(tree.next(*expected),
					  next == oracle.end() ? nullptr : next->second);
				ASSERT_EQ(tree.prev(*expected),
					  at == oracle.begin() ? nullptr : std::prev(at)->second);
			}
			if (step % 512 == 0)
				compare(tree, oracle);
		}
		compare(tree, oracle);
	}
};

TEST_F(RangeTreeTest, RandomAtZero)
{
	run("RandomAtZero", 0, 600, 8, 60);
}

TEST_F(RangeTreeTest, RandomAtTheTop)
{
	run("RandomAtTheTop", kU64Max - 599, 600, 8, 60);
}

TEST_F(RangeTreeTest, Edges)
{
	Element all(kAllIova), zero({{0}, {0}}), top({{kU64Max}, {kU64Max}});
	Element middle({{1}, {kU64Max - 1}});
	Tree tree;

	EXPECT_TRUE(tree.empty());
	EXPECT_EQ(tree.first(), nullptr);
	EXPECT_EQ(tree.find({0}), nullptr);
	EXPECT_EQ(tree.first_in(kAllIova), nullptr);

	EXPECT_TRUE(tree.insert(all));
	EXPECT_FALSE(tree.insert(zero));
	EXPECT_FALSE(tree.insert(top));
	EXPECT_EQ(tree.find({kU64Max}), &all);
	tree.erase(all);

	EXPECT_TRUE(tree.insert(top));
	EXPECT_TRUE(tree.insert(zero));
	EXPECT_FALSE(tree.insert(all));
	EXPECT_EQ(tree.first_from({1}), &top);
	EXPECT_EQ(tree.first_in({{1}, {kU64Max - 1}}), nullptr);
	EXPECT_TRUE(tree.insert(middle));
	EXPECT_TRUE(invariants_hold(tree));
	EXPECT_EQ(tree.next(zero), &middle);
	EXPECT_EQ(tree.next(top), nullptr);
	EXPECT_EQ(tree.prev(zero), nullptr);
	tree.erase(middle);
	EXPECT_EQ(tree.find({5}), nullptr);
	EXPECT_EQ(tree.find({kU64Max}), &top);
	tree.erase(top);
	tree.erase(zero);
	EXPECT_TRUE(tree.empty());
}

TEST_F(RangeTreeTest, InOrderAndBackwards)
{
	std::list<Element> storage;
	Tree tree;

	for (u64 i = 0; i < 5000; i++) {
		storage.emplace_back(IovaRange{{i * 10}, {i * 10 + 9}});
		ASSERT_TRUE(tree.insert(storage.back()));
	}
	for (u64 i = 5000; i-- > 0;)
		ASSERT_EQ(tree.find({i * 10 + 5})->range_.first.value, i * 10);
	EXPECT_TRUE(invariants_hold(tree));
	while (Element *first = tree.first())
		tree.erase(*first);
	for (Element &element : storage)
		ASSERT_TRUE(tree.insert(element));
	EXPECT_TRUE(invariants_hold(tree));
	for (auto at = storage.rbegin(); at != storage.rend(); ++at)
		tree.erase(*at);
	EXPECT_TRUE(tree.empty());
}

} // namespace
