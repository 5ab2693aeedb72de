// SPDX-License-Identifier: GPL-2.0
#include <linux/seq_file.h>

#include "shim/seq.h"

void shim_seq_printf(struct seq_file *seq, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	seq_vprintf(seq, format, args);
	va_end(args);
}
