/* SPDX-License-Identifier: GPL-2.0 */
/* Loading modules, tainting the kernel, and the parameter of vfio.ko. */
#ifndef SHIM_MODULE_H
#define SHIM_MODULE_H

#include "shim/base.h"

SHIM_BEGIN

/**
 * shim_module_load() - have userspace load a module
 * @name: its name
 *
 * Waits until userspace has tried. The caller checks whether the module is loaded.
 *
 * Context: may sleep long; the caller holds no lock that loading a module takes.
 */
void shim_module_load(const char *name);

/**
 * shim_taint_user() - taint the kernel, because userspace can reach all memory
 */
void shim_taint_user(void);

/**
 * shim_param_noiommu() - the parameter enable_unsafe_noiommu_mode, as it is now
 */
bool shim_param_noiommu(void);

SHIM_END

#endif
