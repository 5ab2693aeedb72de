/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structures and numbers of the VFIO UAPI, from the headers of the kernel
 * that the module is built for. C++ includes no other header of the kernel, except
 * the numbers of errno.h.
 */
#ifndef SHIM_UAPI_H
#define SHIM_UAPI_H

#include "base.h"
#include <linux/vfio.h>

#include "compat/uapi.h"

#endif
