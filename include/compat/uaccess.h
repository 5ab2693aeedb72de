/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Copying from userspace. Where the architecture inlines its copies, as s390x does, the kernel has
 * no function _copy_from_user() that modules could call, but an inline one under another name.
 */
#ifndef COMPAT_UACCESS_H
#define COMPAT_UACCESS_H

#include <linux/uaccess.h>

#ifdef INLINE_COPY_FROM_USER
#define _copy_from_user _inline_copy_from_user
#endif

#endif
