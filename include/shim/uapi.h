/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The structures and numbers of the VFIO UAPI, from the headers of the kernel
 * that the module is built for. This is the only header through which C++
 * sees a file of the kernel's, and only its UAPI half.
 */
#ifndef SHIM_UAPI_H
#define SHIM_UAPI_H

#include "base.h"
#include <linux/vfio.h>

#endif
