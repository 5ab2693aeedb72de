/* SPDX-License-Identifier: GPL-2.0 */
/* Words in the kernel log. Formats are the kernel's. */
#ifndef SHIM_LOG_H
#define SHIM_LOG_H

#include "base.h"

SHIM_BEGIN

/**
 * shim_log_warn() - one line at warning level, rate limited
 * @format: printf-like format, without the newline
 */
__attribute__((format(printf, 1, 2))) void shim_log_warn(const char *format,
							 ...);

/**
 * shim_warn() - report a broken invariant with a stack trace
 * @what: the invariant
 *
 * Context: any.
 */
void shim_warn(const char *what);

SHIM_END

#endif
