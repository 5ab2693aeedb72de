// SPDX-License-Identifier: GPL-2.0
//
// The few functions of <utility> that are needed; a freestanding <utility> may lack
// them.
#pragma once

#include <type_traits>

#include "shim/base.h"

// For a large local variable that is written before it is read: the kernel builds
// with -ftrivial-auto-var-init, which would fill it on each call.
#define __uninitialized __attribute__((uninitialized))

namespace vfio {

template <class T> constexpr std::remove_reference_t<T> &&move(T &&value) noexcept
{
	return static_cast<std::remove_reference_t<T> &&>(value);
}

template <class T> constexpr T &&forward(std::remove_reference_t<T> &value) noexcept
{
	return static_cast<T &&>(value);
}

template <class T, class U = T> constexpr T exchange(T &object, U &&value) noexcept
{
	T old = vfio::move(object);
	object = vfio::forward<U>(value);
	return old;
}

template <class T> constexpr const T &min(const T &a, const T &b) noexcept
{
	return b < a ? b : a;
}

template <class T> constexpr const T &max(const T &a, const T &b) noexcept
{
	return a < b ? b : a;
}

// An object that is neither copied nor moved: others hold its address.
class Immovable {
public:
	constexpr Immovable() = default;
	Immovable(const Immovable &) = delete;
	Immovable &operator=(const Immovable &) = delete;
};

} // namespace vfio
