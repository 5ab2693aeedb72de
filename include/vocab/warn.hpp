// SPDX-License-Identifier: GPL-2.0
//
// WARN_ONCE_IF(condition, what): true if a broken invariant was met, which it
// reports the first time. The caller then takes its safe exit.
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
