// SPDX-License-Identifier: GPL-2.0
//
// User memory as the core sees it: an address that is only ever handed to the
// shim.
#pragma once

#include "shim/uaccess.h"
#include "vocab/units.hpp"

namespace vfio {

// The size of a UAPI struct up to and with a member: what a caller built
// against an older header knows of it.
// NOLINTBEGIN(bugprone-macro-parentheses): a member cannot be in parentheses
#define OFFSET_END(type, member) \
	(__builtin_offsetof(type, member) + sizeof(static_cast<type *>(nullptr)->member))
// NOLINTEND(bugprone-macro-parentheses)

// Errors: EFAULT.
inline Result<void> copy_in(void *to, UserVa from, size_t size)
{
	if (!shim_copy_from_user(to, from.value, size))
		return Error(EFAULT);
	return {};
}

// Errors: EFAULT.
inline Result<void> copy_out(UserVa to, const void *from, size_t size)
{
	if (!shim_copy_to_user(to.value, from, size))
		return Error(EFAULT);
	return {};
}

// Copies the first size bytes of a UAPI struct from user memory. Errors: EFAULT.
template <size_t size, class T> Result<void> copy_struct_in(T *to, UserVa from)
{
	static_assert(size <= sizeof(T));

	if (!shim_copy_struct_from_user(to, from.value, size))
		return Error(EFAULT);
	return {};
}

// Errors: EFAULT.
inline Result<void> put_user(UserVa to, u64 value)
{
	if (!shim_put_user(to.value, value))
		return Error(EFAULT);
	return {};
}

} // namespace vfio
