// SPDX-License-Identifier: GPL-2.0
//
// Where a random test or a fuzzer takes its decisions from: random numbers, or
// the fuzzer's bytes. The steps that both do ask this class, so that they are
// written once.
#pragma once

#include <random>

#include "mock/report.hpp"

class Choices {
public:
	virtual ~Choices() = default;

	virtual u8 byte() = 0;

	// Little endian, of so many bytes.
	u64 number(unsigned int size)
	{
		u64 value = 0;

		for (unsigned int i = 0; i < size; i++)
			value |= u64{byte()} << 8 * i;
		return value;
	}

	// Returns a number of [0, n), n at least 1: takes no more bytes than n needs.
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
};

class RandomChoices : public Choices {
public:
	explicit RandomChoices(std::mt19937_64 numbers) : numbers_(numbers)
	{
	}

	u8 byte() override
	{
		return static_cast<u8>(numbers_());
	}

private:
	std::mt19937_64 numbers_;
};

// Lets a call of the mock fail, or none: the nth of all or of one kind.
void plan_failure(Choices &choices);
