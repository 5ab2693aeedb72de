// SPDX-License-Identifier: GPL-2.0
//
// The features of DMA logging, in which the device records which pages it writes.
// Only the driver knows whether the device is logging; the core keeps no state.
#include "device_feature.hpp"
#include "iova_bitmap.hpp"
#include "shim/uapi.h"
#include "vocab/uaccess.hpp"

namespace vfio {

namespace {

using UserRange = vfio_device_feature_dma_logging_range;

// As many ranges as fit into a page.
constexpr u32 kMaxRanges = kPageSize / sizeof(UserRange);
constexpr u64 kMinReportPage = 4096;

constexpr bool power_of_two(u64 value)
{
	return value && !(value & (value - 1));
}

using RangeArray = Owned<shim_log_range *, shim_free>;

} // namespace

// Copies the ranges of a request in. Errors: EFAULT, ENOMEM; EINVAL if one is not
// aligned to the page size or overlaps another.
static Result<RangeArray> read_ranges(const vfio_device_feature_dma_logging_control &control)
{
	RangeArray ranges(static_cast<shim_log_range *>(
		shim_alloc(control.num_ranges * sizeof(shim_log_range))));

	if (!ranges)
		return Error(ENOMEM);
	for (u32 i = 0; i < control.num_ranges; ++i) {
		UserRange user = {};

		TRY(copy_in(&user, UserVa{control.ranges} + i * sizeof(user), sizeof(user)));

		const Iova first{user.iova};

		if (!first.aligned(control.page_size) || user.length & (control.page_size - 1))
			return Error(EINVAL);

		const IovaRange range = TRY(IovaRange::of_size(first, user.length));

		for (u32 j = 0; j < i; ++j) {
			const shim_log_range &other = ranges.get()[j];

			if (range.overlaps({{other.first}, {other.last}}))
				return Error(EINVAL);
		}
		ranges.get()[i] = {range.first.value, range.last.value};
	}
	return ranges;
}

Result<void> feature_log_start(Device &device, const FeatureRequest &request)
{
	if (!device.has(SHIM_DEVICE_LOGGING))
		return Error(ENOTTY);

	vfio_device_feature_dma_logging_control control = {};

	if (!TRY(request.wanted(VFIO_DEVICE_FEATURE_SET, sizeof(control))))
		return {};
	TRY(copy_in(&control, request.data, sizeof(control)));
	if (control.num_ranges == 0)
		return Error(EINVAL);
	if (control.num_ranges > kMaxRanges)
		return Error(E2BIG);
	if (!power_of_two(control.page_size))
		return Error(EINVAL);

	const RangeArray ranges = TRY(read_ranges(control));
	u64 page_size = control.page_size;

	TRY(Result<void>::from_negative(shim_device_log_start(device.handle(), ranges.get(),
							      control.num_ranges, &page_size)));

	// The driver may have chosen another page size; userspace is told.
	control.page_size = page_size;

	const Result<void> told = copy_out(request.data, &control, sizeof(control));

	if (!told.ok())
		shim_device_log_stop(device.handle());
	return told;
}

Result<void> feature_log_stop(Device &device, const FeatureRequest &request)
{
	if (!device.has(SHIM_DEVICE_LOGGING))
		return Error(ENOTTY);
	if (!TRY(request.wanted(VFIO_DEVICE_FEATURE_SET, 0)))
		return {};
	return Result<void>::from_negative(shim_device_log_stop(device.handle()));
}

Result<void> feature_log_report(Device &device, const FeatureRequest &request)
{
	if (!device.has(SHIM_DEVICE_LOGGING))
		return Error(ENOTTY);

	vfio_device_feature_dma_logging_report report = {};

	if (!TRY(request.wanted(VFIO_DEVICE_FEATURE_GET, sizeof(report))))
		return {};
	TRY(copy_in(&report, request.data, sizeof(report)));
	if (report.page_size < kMinReportPage || !power_of_two(report.page_size))
		return Error(EINVAL);

	const IovaRange range = TRY(IovaRange::of_size({report.iova}, report.length));

	// A driver's iova_bitmap_set() does nothing on such a kernel: an answer would say
	// that nothing was written.
	if (!shim_device_log_works())
		return Error(EOPNOTSUPP);

	UniquePtr<IovaBitmap> bitmap =
		TRY(IovaBitmap::create(range, report.page_size, {report.bitmap}));

	do {
		const IovaRange window = bitmap->window();

		TRY(Result<void>::from_negative(shim_device_log_read(
			device.handle(), window.first.value, window.size(), bitmap.get())));
	} while (TRY(bitmap->advance()));
	return {};
}

} // namespace vfio
