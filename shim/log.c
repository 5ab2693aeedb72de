// SPDX-License-Identifier: GPL-2.0
#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>

#include "shim/log.h"

void shim_log_warn(const char *format, ...)
{
	struct va_format line = { .fmt = format };
	va_list args;

	va_start(args, format);
	line.va = &args;
	pr_warn_ratelimited(KBUILD_MODNAME ": %pV\n", &line);
	va_end(args);
}

void shim_warn(const char *what)
{
	WARN(true, KBUILD_MODNAME ": %s\n", what);
}
