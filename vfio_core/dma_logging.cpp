// SPDX-License-Identifier: GPL-2.0
//
// The features of DMA logging: the device notes which pages it writes. Whether
// it is logging already is the driver's to know.
#include "device_feature.hpp"
#include "iova_bitmap.hpp"
#include "shim/uapi.h"
#include "vocab/uaccess.hpp"

namespace vfio {

namespace {

using UserRange = vfio_device_feature_dma_logging_range;

// The ranges of a request fit into a page.
constexpr u32 kMaxRanges = kPageSize / sizeof(UserRange);
constexpr u64 kMinReportPage = 4096;

constexpr bool power_of_two(u64 value)
{
	return value && !(value & (value - 1));
}

class RangeArray : Immovable {
public:
	~RangeArray()
	{
		shim_free(ranges_);
	}

	// Errors: ENOMEM.
	Result<void> allocate(u32 count)
	{
		ranges_ = static_cast<shim_log_range *>(shim_alloc(count * sizeof(*ranges_)));
		if (!ranges_)
			return Error(ENOMEM);
		return {};
	}

	// Errors: EINVAL if it overlaps one that is there.
	Result<void> add(IovaRange range)
	{
		for (u32 i = 0; i < count_; ++i)
			if (range.overlaps({{ranges_[i].first}, {ranges_[i].last}}))
				return Error(EINVAL);
		ranges_[count_++] = {range.first.value, range.last.value};
		return {};
	}

	const shim_log_range *get() const
	{
		return ranges_;
	}

	u32 count() const
	{
		return count_;
	}

private:
	shim_log_range *ranges_ = nullptr;
	u32 count_ = 0;
};

} // namespace

static Result<void> read_ranges(const vfio_device_feature_dma_logging_control &control,
				RangeArray &ranges)
{
	for (u32 i = 0; i < control.num_ranges; ++i) {
		UserRange range = {};

		TRY(copy_in(&range, UserVa{control.ranges} + i * sizeof(range), sizeof(range)));

		const Iova first{range.iova};

		if (!first.aligned(control.page_size) || range.length & (control.page_size - 1))
			return Error(EINVAL);
		TRY(ranges.add(TRY(IovaRange::of_size(first, range.length))));
	}
	return {};
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

	RangeArray ranges;
	u64 page_size = control.page_size;

	TRY(ranges.allocate(control.num_ranges));
	TRY(read_ranges(control, ranges));
	TRY(Result<void>::from_negative(
		shim_device_log_start(device.handle(), ranges.get(), ranges.count(), &page_size)));

	// The driver says what page size it logs.
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
