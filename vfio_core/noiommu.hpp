// SPDX-License-Identifier: GPL-2.0
//
// No-IOMMU mode's IOMMU driver. It translates nothing and isolates nothing:
// the user programs physical addresses into the device. So it is off unless
// the administrator says otherwise, wants CAP_SYS_RAWIO, and taints the kernel
// when a group is made for it (GroupList).
#pragma once

#include "vocab/result.hpp"

namespace vfio {

// Errors: EINVAL for another extension, EPERM.
Result<void> noiommu_open(u64 extension);

// Errors: ENOTTY.
Result<long> noiommu_ioctl(u32 cmd, u64 arg);

} // namespace vfio
