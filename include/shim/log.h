/* SPDX-License-Identifier: GPL-2.0 */
/* Lines in the kernel log. The formats are those of printk(). */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

#include "base.h"

SHIM_BEGIN

/**
 * shim_log_warn() - print a line at warning level, rate limited
 * @format: printf-like format, without the newline
 */
__attribute__((format(printf, 1, 2))) void shim_log_warn(const char *format,
							 ...);

/**
 * shim_warn() - report a broken invariant with a stack trace
 * @what: what is broken
 *
 * Context: any.
 */
void shim_warn(const char *what);

SHIM_END

#endif
