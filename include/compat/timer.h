/* SPDX-License-Identifier: GPL-2.0 */
/* Timers on the stack, whose end got another name in 6.16. */
#ifndef COMPAT_TIMER_H
#define COMPAT_TIMER_H

#include <linux/timer.h>
#include <linux/version.h>

static inline void compat_timer_destroy_on_stack(struct timer_list *timer)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 16, 0)
	destroy_timer_on_stack(timer);
#else
	timer_destroy_on_stack(timer);
#endif
}

#endif
