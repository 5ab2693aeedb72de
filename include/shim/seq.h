/* SPDX-License-Identifier: GPL-2.0 */
/* A file of debugfs while it is read. */
#ifndef SHIM_SEQ_H
#define SHIM_SEQ_H

#include "base.h"

struct seq_file;

SHIM_BEGIN

/**
 * shim_seq_printf() - print into a file that is being read
 * @seq: the file
 * @format: printf-like format
 *
 * If there is no room, nothing is printed, and the kernel asks for the record once more with more
 * room.
 *
 * Context: any.
 */
__attribute__((format(printf, 2, 3))) void shim_seq_printf(struct seq_file *seq,
							   const char *format,
							   ...);

SHIM_END

#endif
