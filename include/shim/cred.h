/* SPDX-License-Identifier: GPL-2.0 */
/* What the calling task may do. */
#ifndef SHIM_CRED_H
#define SHIM_CRED_H

#include "base.h"

SHIM_BEGIN

/** shim_capable_ipc_lock() - whether it has CAP_IPC_LOCK, which lifts RLIMIT_MEMLOCK */
bool shim_capable_ipc_lock(void);

/** shim_capable_sys_rawio() - whether it has CAP_SYS_RAWIO */
bool shim_capable_sys_rawio(void);

/** shim_capable_sys_admin() - whether it has CAP_SYS_ADMIN */
bool shim_capable_sys_admin(void);

SHIM_END

#endif
