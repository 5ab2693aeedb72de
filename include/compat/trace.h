/* SPDX-License-Identifier: GPL-2.0 */
/* Tracepoints, with the newest kernel's interface. */
#ifndef COMPAT_TRACE_H
#define COMPAT_TRACE_H

#include <linux/version.h>

/* Stores a string of an event. Before 6.10 the macro was given the string once more. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define compat_assign_str(member, string) __assign_str(member, string)
#else
#define compat_assign_str(member, string) __assign_str(member)
#endif

#endif
