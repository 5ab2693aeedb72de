/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structures and numbers of the VFIO UAPI, from the headers of the kernel
 * that the module is built for. C++ sees no other headers of the kernel than this
 * one and the numbers of errno.h, both of the UAPI.
 */
#ifndef SHIM_UAPI_H
#define SHIM_UAPI_H

#include "base.h"
#include <linux/vfio.h>

#endif
