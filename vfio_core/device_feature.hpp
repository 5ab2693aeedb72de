// SPDX-License-Identifier: GPL-2.0
//
// VFIO_DEVICE_FEATURE: one ioctl by which userspace gets, sets or probes for
// one feature of a device. The core knows migration and the logging of DMA,
// which the driver implements as operations; other features are the driver's.
#pragma once

#include "device.hpp"

namespace vfio {

// A call for one feature.
struct FeatureRequest {
	u32 flags = 0;
	// What follows the header.
	UserVa data;
	size_t size = 0;

	// Whether to go on and get or set: not if it only probes.
	// supported: VFIO_DEVICE_FEATURE_GET, _SET or-ed. Errors: EINVAL for
	// the others, for neither, or for less data than min_size.
	Result<bool> wanted(u32 supported, size_t min_size) const;
};

// Errors: EFAULT, EINVAL for a malformed request, ENOTTY for a feature that
// the device does not have, those of the feature.
Result<long> device_feature(Device &device, UserVa arg);

// Each is one feature. Errors: ENOTTY, EINVAL, EFAULT, the driver's.
Result<void> feature_migration(Device &device, const FeatureRequest &request);
Result<void> feature_migration_state(Device &device, const FeatureRequest &request);
Result<void> feature_log_start(Device &device, const FeatureRequest &request);
Result<void> feature_log_stop(Device &device, const FeatureRequest &request);
Result<void> feature_log_report(Device &device, const FeatureRequest &request);

} // namespace vfio
