// SPDX-License-Identifier: GPL-2.0
//
// Result<T>: a value or a negative errno. Error is the errno alone; it
// converts into any Result. TRY takes the value out, or returns the error
// from the calling function.
#pragma once

#include <new>

#include "shim/errno.h"
#include "vocab/utility.hpp"

namespace vfio {

class [[nodiscard]] Error {
public:
	// errno_value is one of the E constants, positive as in <errno.h>.
	explicit constexpr Error(int errno_value) : value_(-errno_value)
	{
	}

	// From a negative value that crossed the shim boundary.
	static constexpr Error from_negative(long value)
	{
		return Error(static_cast<int>(-value));
	}

	constexpr int negative() const
	{
		return value_;
	}

	friend constexpr bool operator==(Error, Error) = default;

private:
	int value_;
};

// What a Result holds. If T is trivial, so is this, and functions return it in
// registers.
template <class T> struct ResultStorage {
	constexpr ResultStorage(T value) : error(0), value(vfio::move(value))
	{
	}

	constexpr ResultStorage(Error error) : error(error.negative()), none{}
	{
	}

	constexpr ResultStorage(ResultStorage &&other) : error(other.error), none{}
	{
		if (error == 0)
			new (&value) T(vfio::move(other.value));
	}

	ResultStorage &operator=(ResultStorage &&) = delete;

	constexpr ~ResultStorage()
	{
		if (error == 0)
			value.~T();
	}

	int error;
	union {
		T value;
		char none;
	};
};

template <class T>
requires std::is_trivially_copyable_v<T>
struct ResultStorage<T> {
	constexpr ResultStorage(T value) : error(0), value(value)
	{
	}

	constexpr ResultStorage(Error error) : error(error.negative()), none{}
	{
	}

	int error;
	union {
		T value;
		char none;
	};
};

template <class T> class [[nodiscard]] Result {
public:
	constexpr Result(T value) : held_(vfio::move(value))
	{
	}

	constexpr Result(Error error) : held_(error)
	{
	}

	constexpr bool ok() const
	{
		return held_.error == 0;
	}

	constexpr Error error() const
	{
		return Error::from_negative(held_.error);
	}

	constexpr T &value()
	{
		return held_.value;
	}

	constexpr T &&take()
	{
		return vfio::move(held_.value);
	}

	// The value, or the negative errno, for the C side.
	constexpr long negative_or_value() const requires std::is_integral_v<T>
	{
		return ok() ? static_cast<long>(held_.value) : held_.error;
	}

private:
	ResultStorage<T> held_;
};

template <> class [[nodiscard]] Result<void> {
public:
	constexpr Result() : error_(0)
	{
	}

	constexpr Result(Error error) : error_(error.negative())
	{
	}

	// From an int that crossed the shim boundary: 0 or a negative errno.
	static constexpr Result from_negative(long value)
	{
		if (value < 0)
			return Error::from_negative(value);
		return {};
	}

	constexpr bool ok() const
	{
		return error_ == 0;
	}

	constexpr Error error() const
	{
		return Error::from_negative(error_);
	}

	constexpr void take() const
	{
	}

	// 0 or the negative errno, for the C side.
	constexpr int negative() const
	{
		return error_;
	}

private:
	int error_;
};

#define TRY(expression)                            \
	({                                         \
		auto &&try_result = (expression);  \
		if (!try_result.ok()) [[unlikely]] \
			return try_result.error(); \
		try_result.take();                 \
	})

} // namespace vfio
