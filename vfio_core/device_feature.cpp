// SPDX-License-Identifier: GPL-2.0
#include "device_feature.hpp"

#include "compat/migration.h"
#include "shim/uapi.h"
#include "vocab/uaccess.hpp"

namespace vfio {

Result<bool> FeatureRequest::wanted(u32 supported, size_t min_size) const
{
	const u32 asked = flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET);

	if (asked & ~supported)
		return Error(EINVAL);
	if (flags & VFIO_DEVICE_FEATURE_PROBE)
		return false;
	if (!asked || size < min_size)
		return Error(EINVAL);
	return true;
}

static Result<long> driver_feature(Device &device, const FeatureRequest &request)
{
	if (!device.has(SHIM_DEVICE_FEATURE))
		return Error(ENOTTY);
	return result_of(shim_device_feature(device.handle(), request.flags, request.data.value,
					     request.size));
}

Result<long> device_feature(Device &device, UserVa arg)
{
	constexpr size_t kMinSize = OFFSET_END(vfio_device_feature, flags);
	constexpr u32 kModes = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET;
	vfio_device_feature header = {};

	TRY(copy_in(&header, arg, kMinSize));
	if (header.argsz < kMinSize)
		return Error(EINVAL);
	if (header.flags & ~(VFIO_DEVICE_FEATURE_MASK | kModes | VFIO_DEVICE_FEATURE_PROBE))
		return Error(EINVAL);
	if (!(header.flags & VFIO_DEVICE_FEATURE_PROBE) && (header.flags & kModes) == kModes)
		return Error(EINVAL);

	const FeatureRequest request{header.flags, arg + kMinSize, header.argsz - kMinSize};

	switch (header.flags & VFIO_DEVICE_FEATURE_MASK) {
	case VFIO_DEVICE_FEATURE_MIGRATION:
		TRY(feature_migration(device, request));
		return 0L;
	case VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
		TRY(feature_migration_state(device, request));
		return 0L;
	case COMPAT_FEATURE_MIG_DATA_SIZE:
		if (!device.has(SHIM_DEVICE_MIGRATION_SIZE))
			return driver_feature(device, request);
		TRY(feature_migration_size(device, request));
		return 0L;
	case COMPAT_FEATURE_PRECOPY_INFO_V2:
		if (!device.has(SHIM_DEVICE_PRECOPY_INFO_V2))
			return driver_feature(device, request);
		TRY(feature_precopy_info_v2(device, request));
		return 0L;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
		TRY(feature_log_start(device, request));
		return 0L;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP:
		TRY(feature_log_stop(device, request));
		return 0L;
	case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT:
		TRY(feature_log_report(device, request));
		return 0L;
	case COMPAT_FEATURE_DMA_BUF:
		// Other devices would reach the windows through what is exported, whatever the gate does.
		if (device.gate())
			return Error(EOPNOTSUPP);
		return driver_feature(device, request);
	default:
		return driver_feature(device, request);
	}
}

} // namespace vfio
