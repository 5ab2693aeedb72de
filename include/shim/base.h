/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The base of all headers of the shim boundary: fixed-width types that are the
 * same in the kernel's C and in the core's C++, and macros that mark boundary
 * functions.
 *
 * The boundary has two directions. Functions named shim_*() are written in C
 * and called by the C++ core: each adapts one kernel service and decides
 * nothing. Functions named vfio_core_*(), type1_*() and mdev_core_*(), and the
 * exported mdev_pins_*(), are written in C++ and called from C.
 *
 * Errors cross it as negative errno values in an int or a long.
 */
#ifndef SHIM_BASE_H
#define SHIM_BASE_H

#ifdef __cplusplus
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;
typedef decltype(sizeof(0)) size_t;
typedef long ssize_t;
#define SHIM_BEGIN extern "C" {
#define SHIM_END   }
/*
 * Marks the definition of a function that C calls, in whatever namespace it
 * stands. A core is one compilation, and all its other functions are local to it
 * (-fwhole-program).
 */
#ifdef __clang__
#define CORE_ENTRY extern "C"
#else
#define CORE_ENTRY extern "C" __attribute__((externally_visible))
#endif
#else
#include <linux/types.h>
#define SHIM_BEGIN
#define SHIM_END
#endif

/* Sizes of kernel objects that the core embeds; generated from the kernel. */
#include "shim-sizes.h"

#endif
