// SPDX-License-Identifier: GPL-2.0
//
// VFIO_DEVICE_FEATURE: an ioctl by which userspace gets, sets or probes for one
// feature of a device. The core implements migration and the logging of DMA with
// operations of the driver, and leaves all other features to the driver.
#pragma once

#include "device.hpp"

namespace vfio {

// What a VFIO_DEVICE_FEATURE asks for.
struct FeatureRequest {
	u32 flags = 0;
	// The user's data, which follows the header.
	UserVa data;
	size_t size = 0;

	// Returns true if the feature is to be got or set, false if the request only
	// probes for it. supported is VFIO_DEVICE_FEATURE_GET, _SET or both. Errors:
	// EINVAL if the request asks for what is not supported, or asks for neither,
	// or if size is below min_size.
	Result<bool> wanted(u32 supported, size_t min_size) const;
};

// Errors: EFAULT, EINVAL for a malformed request, ENOTTY for a feature that
// the device does not have, those of the feature.
Result<long> device_feature(Device &device, UserVa arg);

// Each of these gets, sets or probes for one feature. Errors: ENOTTY if the device does
// not have the feature, EOPNOTSUPP if the kernel lacks what the feature needs, EINVAL,
// EFAULT, ENOMEM, those of the driver.
Result<void> feature_migration(Device &device, const FeatureRequest &request);
Result<void> feature_migration_state(Device &device, const FeatureRequest &request);
Result<void> feature_migration_size(Device &device, const FeatureRequest &request);
Result<void> feature_precopy_info_v2(Device &device, const FeatureRequest &request);
Result<void> feature_log_start(Device &device, const FeatureRequest &request);
Result<void> feature_log_stop(Device &device, const FeatureRequest &request);
Result<void> feature_log_report(Device &device, const FeatureRequest &request);

} // namespace vfio
