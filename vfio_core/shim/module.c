// SPDX-License-Identifier: GPL-2.0
#include <linux/kmod.h>
#include <linux/moduleparam.h>
#include <linux/panic.h>

#include "vfio_core/shim/module.h"

static bool enable_unsafe_noiommu_mode;
module_param(enable_unsafe_noiommu_mode, bool, 0644);
MODULE_PARM_DESC(
	enable_unsafe_noiommu_mode,
	"Give out devices that have no IOMMU: their users need CAP_SYS_RAWIO and reach all memory; taints the kernel (default: false)");

void shim_module_load(const char *name)
{
	request_module("%s", name);
}

void shim_taint_user(void)
{
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
}

bool shim_param_noiommu(void)
{
	return READ_ONCE(enable_unsafe_noiommu_mode);
}
