// SPDX-License-Identifier: GPL-2.0
//
// A function that the linker puts before one of the mock (ld --wrap), with what
// happens before and after it.
#pragma once

#define WRAP(type, name, params, args, before, after) \
	type __real_##name params;                    \
	type __wrap_##name params                     \
	{                                             \
		before;                               \
		type result = __real_##name args;     \
		after;                                \
		return result;                        \
	}
#define WRAP_VOID(name, params, args, before, after) \
	void __real_##name params;                   \
	void __wrap_##name params                    \
	{                                            \
		before;                              \
		__real_##name args;                  \
		after;                               \
	}
