// SPDX-License-Identifier: GPL-2.0
//
// What fuzz targets share: the fuzzer's bytes as decisions, and a fixture of
// the host tests around each input, so that at its end nothing may be left.
// A failed assertion of GoogleTest, wherever it is, ends the process: that is
// what libFuzzer takes for a crash.
#pragma once

#include <gtest/gtest.h>

#include "mock/report.hpp"

namespace fuzz {

// Decisions, in the order in which they are asked for. When the bytes are
// used up all are 0.
class Bytes {
public:
	Bytes(const u8 *data, size_t size) : at_(data), end_(data + size)
	{
	}

	bool empty() const
	{
		return at_ == end_;
	}

	u8 byte()
	{
		return empty() ? 0 : *at_++;
	}

	// Little endian, of so many bytes.
	u64 number(unsigned int size)
	{
		u64 value = 0;

		for (unsigned int i = 0; i < size; i++)
			value |= u64{byte()} << 8 * i;
		return value;
	}

	// Of [0, n), n at least 1: takes no more bytes than n needs.
	u64 below(u64 n)
	{
		unsigned int size = 0;

		while (size < 8 && (n - 1) >> 8 * size)
			size++;
		return number(size) % n;
	}

	bool flag()
	{
		return byte() & 1;
	}

	// An address or a size that may be anything: small, a power of two and
	// its neighbours, the top, or whatever the bytes say.
	u64 hostile();

	template <class T, size_t N> const T &one_of(const T (&values)[N])
	{
		return values[below(N)];
	}

private:
	const u8 *at_;
	const u8 *const end_;
};

// Lets a call fail, or none: the nth of all or of one kind.
void plan_failure(Bytes &bytes);

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
