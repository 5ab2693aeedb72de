// SPDX-License-Identifier: GPL-2.0
//
// No-IOMMU mode's IOMMU driver, which translates and isolates nothing: the user
// programs physical addresses into the device. So the mode is off unless the
// administrator turns it on, needs CAP_SYS_RAWIO, and taints the kernel when a
// device is registered in it (Device::register_in()). These functions are called
// through the driver's operations in noiommu_ops.c.
#include "entry.h"
#include "shim/cred.h"
#include "shim/errno.h"
#include "shim/uapi.h"
#include "vfio_core/shim/module.h"

CORE_ENTRY int vfio_core_noiommu_open(u64 extension)
{
	if (extension != VFIO_NOIOMMU_IOMMU)
		return -EINVAL;
	if (!shim_capable_sys_rawio())
		return -EPERM;
	return 0;
}

CORE_ENTRY long vfio_core_noiommu_ioctl(u32 cmd, u64 arg)
{
	if (cmd != VFIO_CHECK_EXTENSION)
		return -ENOTTY;
	return arg == VFIO_NOIOMMU_IOMMU && shim_param_noiommu();
}
