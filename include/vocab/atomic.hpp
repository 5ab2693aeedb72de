// SPDX-License-Identifier: GPL-2.0
//
// Atomic: a word that threads read and write without a lock. All operations are
// sequentially consistent.
#pragma once

#include "vocab/utility.hpp"

namespace vfio {

template <class T> class Atomic : Immovable {
public:
	explicit constexpr Atomic(T value) : value_(value)
	{
	}

	T load() const
	{
		return __atomic_load_n(&value_, __ATOMIC_SEQ_CST);
	}

	void store(T value)
	{
		__atomic_store_n(&value_, value, __ATOMIC_SEQ_CST);
	}

	// Returns the previous value.
	T exchange(T value)
	{
		return __atomic_exchange_n(&value_, value, __ATOMIC_SEQ_CST);
	}

	// add(), set_bits() and clear_bits() return the new value.
	T add(T value)
	{
		return __atomic_add_fetch(&value_, value, __ATOMIC_SEQ_CST);
	}

	T set_bits(T bits)
	{
		return __atomic_or_fetch(&value_, bits, __ATOMIC_SEQ_CST);
	}

	T clear_bits(T bits)
	{
		return __atomic_and_fetch(&value_, ~bits, __ATOMIC_SEQ_CST);
	}

	// Stores `to` if the value is `from`, and returns whether it was.
	bool replace(T from, T to)
	{
		return __atomic_compare_exchange_n(&value_, &from, to, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
	}

private:
	T value_;
};

} // namespace vfio
