// SPDX-License-Identifier: GPL-2.0
//
// SlotMap against std::map: orders of insertion, how full they leave it, and
// memory that runs out.
#include <map>

#include "host_test.hpp"
#include "pin_index/pin_slot_map.hpp"

using namespace vfio;

namespace {

class SlotMapTest : public HostTest {
protected:
	void TearDown() override
	{
		map.clear();
		EXPECT_EQ(map.bytes(), 0u);
		HostTest::TearDown();
	}

	bool insert(u64 slot)
	{
		Result<SlotRecord *> record = map.insert(map.find(slot), slot, nullptr);

		if (!record.ok())
			return false;
		EXPECT_EQ(record.value()->slot(), slot);
		EXPECT_EQ(record.value()->meta(), 0u);
		record.value()->value = slot * 3;
		record.value()->set_meta(slot & SlotRecord::kMetaMask);
		slots[slot] = slot * 3;
		return true;
	}

	void erase(u64 slot)
	{
		map.erase(map.find(slot));
		slots.erase(slot);
	}

	void check(u64 slot) const
	{
		const auto at = slots.lower_bound(slot);
		const SlotRecord *found = map.find(slot).record;
		const SlotRecord *next = map.first_from(slot);

		ASSERT_EQ(found != nullptr, at != slots.end() && at->first == slot);
		ASSERT_EQ(next != nullptr, at != slots.end());
		if (next) {
			ASSERT_EQ(next->slot(), at->first);
			ASSERT_EQ(next->value, at->second);
			ASSERT_EQ(next->meta(), at->first & SlotRecord::kMetaMask);
		}
	}

	void check_all() const
	{
		ASSERT_TRUE(map.invariants_hold());
		ASSERT_EQ(map.first_from(0) == nullptr, slots.empty());
		check(0);
		for (const auto &[slot, value] : slots) {
			check(slot);
			check(min(slot + 1, SlotMap::kLastSlot));
		}
	}

	double bytes_each() const
	{
		return static_cast<double>(map.bytes()) / static_cast<double>(slots.size());
	}

	SlotMap map;
	std::map<u64, u64> slots;
};

} // namespace

TEST_F(SlotMapTest, UpDownAndInside)
{
	constexpr u64 count = 10'000;

	for (u64 i = 0; i < count; i++)
		ASSERT_TRUE(insert(1'000'000 + i));
	EXPECT_LT(bytes_each(), 17);
	for (u64 i = 0; i < count; i++)
		ASSERT_TRUE(insert(999'999 - i));
	EXPECT_LT(bytes_each(), 17);
	// Downwards and upwards into gaps, where full leaves are all around.
	for (u64 i = 0; i < count; i++)
		ASSERT_TRUE(insert(900'000 - i));
	for (u64 i = 0; i < count; i++)
		ASSERT_TRUE(insert(950'000 + i));
	for (u64 i = 0; i < count; i++)
		ASSERT_TRUE(insert(940'000 - i));
	EXPECT_LT(bytes_each(), 20);
	check_all();
	ASSERT_TRUE(insert(0));
	ASSERT_TRUE(insert(SlotMap::kLastSlot));
	check_all();
	while (!slots.empty())
		erase(slots.size() % 2 ? slots.begin()->first : slots.rbegin()->first);
	EXPECT_EQ(map.bytes(), 0u);
}

// Small maps take little.
TEST_F(SlotMapTest, SmallRoots)
{
	for (u64 i = 0; i < 63; i++) {
		ASSERT_TRUE(insert(i * 1000));
		EXPECT_LE(map.bytes(), max(u64{32}, (i + 1) * 32));
	}
	EXPECT_EQ(map.bytes(), 1024u);
	check_all();
}

TEST_F(SlotMapTest, AtRandom)
{
	std::mt19937_64 rng = random("slot map");

	// It fills, is thinned out, and fills again.
	for (int round = 0; round < 6; round++) {
		const bool fill = round % 2 == 0;

		for (int step = 0; step < 30'000; step++) {
			const u64 slot = rng() % 50'000 << (round / 2 * 10);
			const bool there = slots.contains(slot);

			if (!there && (fill || step % 8 == 0)) {
				ASSERT_TRUE(insert(slot));
			} else if (there && (!fill || step % 8 == 0)) {
				erase(slot);
			}
			check(rng() % 50'000 << (round / 2 * 10));
		}
		check_all();
		if (round == 0) {
			EXPECT_LT(bytes_each(), 16 / 0.69);
		}
	}
}

TEST_F(SlotMapTest, MemoryRunsOut)
{
	std::mt19937_64 rng = random("slot map without memory");
	int failed = 0;

	for (int step = 0; step < 60'000; step++) {
		const u64 slot = rng();

		mock::plan.reset();
		if (step % 2)
			mock::plan.fail(mock::Fail::kAlloc, 1 + step / 2 % 2);
		if (!slots.contains(slot >> SlotRecord::kMetaBits) &&
		    !insert(slot >> SlotRecord::kMetaBits)) {
			failed++;
			ASSERT_TRUE(map.invariants_hold());
			check(slot >> SlotRecord::kMetaBits);
		}
		mock::plan.reset();
	}
	EXPECT_GT(failed, 0);
	check_all();
	while (!slots.empty())
		erase(slots.begin()->first);
	EXPECT_EQ(map.bytes(), 0u);
}
