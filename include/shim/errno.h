/* SPDX-License-Identifier: GPL-2.0 */
/* The errno values, from the kernel's UAPI headers. */
#ifndef SHIM_ERRNO_H
#define SHIM_ERRNO_H

#ifdef __cplusplus
#include <asm/errno.h>
#else
#include <linux/errno.h>
#endif

#endif
