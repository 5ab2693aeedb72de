// SPDX-License-Identifier: GPL-2.0
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/timekeeping.h>

#include "shim/time.h"

u64 shim_now_ns(void)
{
	return ktime_get_ns();
}

u64 shim_ticks_to_ms(u64 ticks)
{
	return jiffies_to_msecs(ticks);
}
