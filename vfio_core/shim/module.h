/* SPDX-License-Identifier: GPL-2.0 */
/* Modules and the kernel as a whole. */
#ifndef SHIM_MODULE_H
#define SHIM_MODULE_H

#include "shim/base.h"

SHIM_BEGIN

/**
 * shim_module_load() - have userspace load a module
 * @name: its name
 *
 * Returns when that was done or has failed; look whether it is there.
 *
 * Context: may sleep long; no locks that loading a module takes.
 */
void shim_module_load(const char *name);

/**
 * shim_taint_user() - mark the kernel: userspace was let at memory unchecked
 */
void shim_taint_user(void);

/**
 * shim_param_noiommu() - the parameter enable_unsafe_noiommu_mode, as it is now
 */
bool shim_param_noiommu(void);

SHIM_END

#endif
