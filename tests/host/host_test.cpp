// SPDX-License-Identifier: GPL-2.0
#include "host_test.hpp"

#include "mock/memory.hpp"

namespace {

// Blocks that earlier tests leaked: their own fault.
s64 leaked_before;

} // namespace

void HostTest::SetUp()
{
	mock::plan.reset();
	mock::phys::reset();
	mock::forget_lock_order();
	mock::take_violations();
	mock::take_warnings();
	mock::take_log();
}

void HostTest::TearDown()
{
	for (const std::string &violation : mock::take_violations())
		ADD_FAILURE() << "violation: " << violation;
	for (const std::string &warning : mock::take_warnings())
		EXPECT_TRUE(expected_warnings_.contains(warning)) << "warning: " << warning;
	EXPECT_EQ(mock::live_blocks(), leaked_before) << "memory leaked";
	leaked_before = mock::live_blocks();
	EXPECT_EQ(mock::phys::all_pins(), 0u) << "pins leaked";
}

std::mt19937_64 HostTest::random(const char *what)
{
	const char *given = getenv("HOST_TEST_SEED");
	const unsigned long long seed =
		given ? strtoull(given, nullptr, 0) : std::random_device()();

	printf("%s: seed %llu (HOST_TEST_SEED)\n", what, seed);
	return std::mt19937_64(seed);
}
