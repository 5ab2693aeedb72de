/* SPDX-License-Identifier: GPL-2.0 */
/* What the calling task may do. */
#ifndef SHIM_CRED_H
#define SHIM_CRED_H

#include "base.h"

SHIM_BEGIN

/** shim_capable_ipc_lock() - CAP_IPC_LOCK: RLIMIT_MEMLOCK does not bind */
bool shim_capable_ipc_lock(void);

/** shim_capable_sys_rawio() - CAP_SYS_RAWIO */
bool shim_capable_sys_rawio(void);

SHIM_END

#endif
