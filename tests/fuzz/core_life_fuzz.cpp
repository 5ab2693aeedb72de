// SPDX-License-Identifier: GPL-2.0
//
// The life of containers, groups and devices: descriptors opened, used and
// closed in any order, devices that come and go, ioctls with any buffer, and
// calls of the shim that fail. At the end nothing may be left of anything.
#include <optional>

#include "core_world.hpp"
#include "fuzz.hpp"

namespace {

class LifeFuzz : public fuzz::Input<CoreTest> {
	using Input::Input;

	static constexpr u64 kUva = 0x4000'0000;

	int some_fd()
	{
		return 3 + static_cast<int>(below(12));
	}

	void driver()
	{
		ops.has |= SHIM_DEVICE_FEATURE | SHIM_DEVICE_MIGRATION | SHIM_DEVICE_LOGGING;
		ops.feature = [](u32, u64, size_t size) { return static_cast<int>(size & 0xffff); };
		ops.log_start = [](const std::vector<shim_log_range> &ranges, u64 *) {
			for (const shim_log_range &range : ranges)
				EXPECT_LE(range.first, range.last);
			return 0;
		};
		ops.log_stop = [] { return 0; };
		ops.log_read = [this](u64 iova, u64 size, iova_bitmap *bitmap) {
			vfio_core_iova_bitmap_set(bitmap, iova + below(256) * kPage,
						  bytes.flag() ? size : below(256) * kPage);
			return bytes.byte() < 240 ? 0 : -EIO;
		};
		ops.get_state = [this](u32 *state) {
			*state = below(8);
			return 0;
		};
		ops.set_state = [this](u32, file **made) {
			if (bytes.flag()) {
				const int fd = mock::open_other();

				*made = mock::file_of(fd);
				(*made)->refs++;
				mock::close(fd);
			}
			return 0;
		};
	}

	// Comes, or goes if nobody would be waited for.
	void toggle(std::optional<Registered> &device, ::device &dev, bool emulated)
	{
		if (!device) {
			const u64 set = bytes.flag() && !emulated ? 77 : 0;

			// The fixture relies on a set that is asked for.
			if (set)
				mock::plan.reset();
			device.emplace(dev, ops, emulated, set);
			if (device->ret)
				device.reset();
			else
				(*device)->migration_flags = below(8);
		} else if ((*device)->open_count == 0) {
			mock::plan.reset();
			device.reset();
		}
	}

	void feature_step(int fd)
	{
		static constexpr u32 kModes[] = {VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET,
						 VFIO_DEVICE_FEATURE_PROBE |
							 VFIO_DEVICE_FEATURE_GET |
							 VFIO_DEVICE_FEATURE_SET};
		const u8 how = bytes.byte();
		const u32 flags = how < 240 ? bytes.one_of(kModes) | how % 10 :
					      static_cast<u32>(bytes.number(4));
		std::vector<std::pair<u64, u64>> ranges(1 + below(4));
		std::vector<u8> data;
		const auto put = [&](u64 value) {
			for (int i = 0; i < 8; i++)
				data.push_back(static_cast<u8>(value >> 8 * i));
		};

		for (auto &[iova, size] : ranges) {
			iova = bytes.hostile();
			size = bytes.hostile();
		}
		const mock::UserWindow window(ranges.data(), ranges.size() * sizeof(ranges[0]));
		const u64 page_size = bytes.byte() < 224 ? kPage : bytes.hostile();
		switch (flags & VFIO_DEVICE_FEATURE_MASK) {
		case VFIO_DEVICE_FEATURE_DMA_LOGGING_START:
			put(page_size);
			put(bytes.byte() < 240 ? ranges.size() : bytes.number(4));
			put(bytes.byte() < 240 ? reinterpret_cast<u64>(ranges.data()) :
						 bytes.hostile());
			break;
		case VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: {
			// A bitmap that ends: the driver is asked window after window.
			u64 length = bytes.hostile();

			if (length > u64{1} << 40 && length < u64{1} << 62)
				length >>= 24;
			put(bytes.hostile());
			put(length);
			put(page_size);
			put(bytes.byte() < 224 ? kUva + below(4 * kPage) : bytes.hostile());
			break;
		}
		default:
			for (u64 n = below(5); n > 0; n--)
				put(bytes.hostile());
		}
		const u32 argsz = bytes.byte() < 224 ? ~0u : static_cast<u32>(bytes.number(4));
		(void)feature(fd, flags, data, argsz);
	}

	void ioctl_step(int fd)
	{
		static constexpr u32 kCommands[] = {
			VFIO_GET_API_VERSION,	  VFIO_CHECK_EXTENSION,	      VFIO_SET_IOMMU,
			VFIO_GROUP_GET_STATUS,	  VFIO_GROUP_UNSET_CONTAINER, VFIO_IOMMU_MAP_DMA,
			VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_GET_INFO,	      VFIO_DEVICE_RESET};
		const u32 cmd = bytes.one_of(kCommands);

		if (bytes.flag()) {
			(void)mock::ioctl(fd, cmd, bytes.hostile());
			return;
		}
		std::vector<u8> arg(1 + below(32));
		for (u8 &each : arg)
			each = bytes.byte();
		(void)mock::ioctl(fd, cmd, arg.data(), arg.size());
	}

	void device_step(std::optional<Registered> &device)
	{
		std::vector<page *> pages(8);
		u8 data[64] = {};

		if (!device || (*device)->open_count == 0)
			return;
		vfio_core_device *core = (*device)->core;
		const u64 iova = bytes.hostile();
		const int npages = static_cast<int>(1 + below(8));
		switch (below(3)) {
		case 0:
			if (vfio_core_device_pin(core, iova, npages, 3, pages.data()) > 0)
				vfio_core_device_unpin(core, iova, npages);
			break;
		case 1:
			(void)vfio_core_device_dma_rw(core, iova, data, 1 + below(sizeof(data)),
						      bytes.flag());
			break;
		default: {
			u32 next = 0;
			const u32 from = 1 + static_cast<u32>(below(3)), to = bytes.byte();

			// Asking from a state that it has not is a driver's bug.
			if ((*device)->migration_flags & VFIO_MIGRATION_STOP_COPY)
				(void)vfio_core_migration_next(core, from, to, &next);
		}
		}
	}

	void step(std::optional<Registered> (&registered)[3])
	{
		static const std::string kNames[] = {"0000:00:05.0", "0000:00:06.0", "mdev",
						     "none"};
		const u64 what = below(16);

		if (bytes.flag())
			plan_failure(bytes);
		switch (what) {
		case 0:
			if (mock::open_descriptors() < 12)
				(void)mock::open_container();
			break;
		case 1:
		case 2:
			(void)mock::open_group(std::to_string(5 + below(3)));
			break;
		case 3:
			(void)mock::close(some_fd());
			break;
		case 4:
		case 5:
			(void)set_container(some_fd(), some_fd());
			break;
		case 6:
			(void)mock::ioctl(some_fd(), VFIO_SET_IOMMU,
					  bytes.flag() ? u64{VFIO_TYPE1v2_IOMMU} : below(10));
			break;
		case 7:
		case 8:
			if (mock::open_descriptors() < 12)
				(void)device_fd(some_fd(), bytes.one_of(kNames));
			break;
		case 9: {
			const u64 which = below(3);
			toggle(registered[which], which == 2 ? bare : devices[which], which == 2);
			break;
		}
		case 10:
		case 11:
			feature_step(some_fd());
			break;
		case 12:
			ioctl_step(some_fd());
			break;
		case 13:
			device_step(registered[below(3)]);
			break;
		case 14:
			groups[below(2)].kernel_driver = bytes.byte() < 64;
			break;
		default:
			type1.dma_cc = bytes.flag();
			type1.open_error = bytes.byte() < 32 ? -EPERM : 0;
			break;
		}
		mock::plan.reset();
	}

	void fuzz() override
	{
		std::optional<Registered> registered[3];

		driver();
		process.mm.map(kUva, 16, 0x5000);
		// Most inputs want these.
		registered[0].emplace(devices[0], ops);
		registered[1].emplace(devices[1], ops);
		for (int i = 0; i < 300 && !bytes.empty(); i++)
			step(registered);
		mock::plan.reset();
		for (int fd = 3; fd < 3 + 64; fd++)
			(void)mock::close(fd);
	}

	::device bare = {"mdev", nullptr, true};
};

} // namespace

FUZZ_TARGET(LifeFuzz)
