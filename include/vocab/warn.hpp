// SPDX-License-Identifier: GPL-2.0
//
// WARN_ONCE_IF(condition, what): tests for a broken invariant, returns whether the
// condition is true, and reports it the first time. The caller takes a safe exit.
#pragma once

#include "shim/log.h"

#define WARN_ONCE_IF(condition, what)                                                \
	({                                                                           \
		static constinit bool warned = false;                                \
		const bool broken = (condition);                                     \
		if (broken && !__atomic_exchange_n(&warned, true, __ATOMIC_RELAXED)) \
			shim_warn(what);                                             \
		broken;                                                              \
	})
