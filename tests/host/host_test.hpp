// SPDX-License-Identifier: GPL-2.0
//
// The fixture of all host tests: each begins with a fresh world and ends with
// nothing left: no memory, pin, domain or reference, no violation of a shim's
// contract and no warning that the test did not announce.
#pragma once

#include <gtest/gtest.h>
#include <random>
#include <set>

#include "mock/report.hpp"

class HostTest : public testing::Test {
protected:
	void SetUp() override;
	void TearDown() override;

	// A broken invariant that the test brings about. The core reports each
	// once in the life of the process, so that it may be silent.
	void expect_warning(const std::string &text)
	{
		expected_warnings_.insert(text);
	}

	// Random numbers; the seed is printed and can be given as HOST_TEST_SEED.
	static std::mt19937_64 random(const char *what);

private:
	std::set<std::string> expected_warnings_;
};
