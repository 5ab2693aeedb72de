/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The compiler's freestanding C++ headers include this header of the C library, which no core
 * has, and ask which version of the library it is: none.
 */
#ifndef UAPI_STUB_FEATURES_H
#define UAPI_STUB_FEATURES_H

#define __GLIBC_PREREQ(major, minor) 0

#endif
