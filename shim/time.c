// SPDX-License-Identifier: GPL-2.0
#include <linux/ktime.h>
#include <linux/timekeeping.h>

#include "shim/time.h"

u64 shim_now_ns(void)
{
	return ktime_get_ns();
}
