/* SPDX-License-Identifier: GPL-2.0 */
/* Time. */
#ifndef SHIM_TIME_H
#define SHIM_TIME_H

#include "base.h"

SHIM_BEGIN

/** shim_now_ns() - nanoseconds since the machine was started, without those it slept */
u64 shim_now_ns(void);

/**
 * shim_ticks_to_ms() - milliseconds of ticks of the timer
 * @ticks: how many
 */
u64 shim_ticks_to_ms(u64 ticks);

SHIM_END

#endif
