// SPDX-License-Identifier: GPL-2.0
#include <linux/capability.h>

#include "shim/cred.h"

bool shim_capable_ipc_lock(void)
{
	return capable(CAP_IPC_LOCK);
}

bool shim_capable_sys_rawio(void)
{
	return capable(CAP_SYS_RAWIO);
}

bool shim_capable_sys_admin(void)
{
	return capable(CAP_SYS_ADMIN);
}
