// SPDX-License-Identifier: GPL-2.0
//
// What fuzz targets share: the fuzzer's bytes as decisions, and a fixture of
// the host tests around each input, so that at its end nothing may be left.
// A failed assertion of GoogleTest, wherever it is, ends the process: that is
// what libFuzzer takes for a crash.
#pragma once

#include <gtest/gtest.h>

#include "choices.hpp"
#include "mock/report.hpp"

namespace fuzz {

// Decisions, in the order in which they are asked for. When the bytes are
// used up all are 0.
class Bytes : public Choices {
public:
	Bytes(const u8 *data, size_t size) : at_(data), end_(data + size)
	{
	}

	bool empty() const
	{
		return at_ == end_;
	}

	u8 byte() override
	{
		return empty() ? 0 : *at_++;
	}

private:
	const u8 *at_;
	const u8 *const end_;
};

// Fixture is one of the host tests' that gives SetUp() and TearDown().
template <class Fixture> class Input : public Fixture {
public:
	explicit Input(Bytes &bytes) : bytes(bytes)
	{
	}

	void run()
	{
		this->SetUp();
		fuzz();
		mock::plan.reset();
		this->TearDown();
	}

protected:
	virtual void fuzz() = 0;

	u64 below(u64 n)
	{
		return bytes.below(n);
	}

	Bytes &bytes;

private:
	void TestBody() override
	{
	}
};

} // namespace fuzz

// The target's one function: a class that derives from fuzz::Input.
#define FUZZ_TARGET(Class)                                                            \
	extern "C" int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) \
	{                                                                             \
		fuzz::Bytes bytes(data, size);                                        \
		Class(bytes).run();                                                   \
		return 0;                                                             \
	}
