// SPDX-License-Identifier: GPL-2.0
#include "noiommu.hpp"

#include "shim/cred.h"
#include "shim/module.h"
#include "shim/uapi.h"

namespace vfio {

Result<void> noiommu_open(u64 extension)
{
	if (extension != VFIO_NOIOMMU_IOMMU)
		return Error(EINVAL);
	if (!shim_capable_sys_rawio())
		return Error(EPERM);
	return {};
}

Result<long> noiommu_ioctl(u32 cmd, u64 arg)
{
	if (cmd != VFIO_CHECK_EXTENSION)
		return Error(ENOTTY);
	return long{arg == VFIO_NOIOMMU_IOMMU && shim_param_noiommu()};
}

} // namespace vfio
