// SPDX-License-Identifier: GPL-2.0
//
// What the core answers for drivers of later kernels: how much a migration will transfer, the
// second version of pre-copy's information, and what a region is like.
#include "compat/migration.h"
#include "core_world.hpp"

class CoreFeature : public CoreTest {
protected:
	void SetUp() override
	{
		CoreTest::SetUp();
		mock::core_answers_region_info = true;
		ops.has |= SHIM_DEVICE_MIGRATION_SIZE | SHIM_DEVICE_PRECOPY_INFO_V2 |
			   SHIM_DEVICE_REGION_INFO;
		ops.data_size = [this](u64 *size) {
			*size = 0x123456789a;
			return error;
		};
		ops.region_info = [this](vfio_region_info *info, vfio_info_cap_header **caps,
					 size_t *size) {
			vfio_info_cap_header *added = nullptr;

			described++;
			info->size = 0x1000 + info->index;
			info->offset = 0x40000000;
			info->flags = VFIO_REGION_INFO_FLAG_READ;
			if (cap_size) {
				EXPECT_EQ(
					vfio_core_info_cap_add(caps, size, cap_size, 7, 1, &added),
					0);
			}
			return error;
		};
		device.emplace(devices[0], ops);
		open_all(container, group, "5");
		fd = static_cast<int>(device_fd(group, devices[0].name));
		ASSERT_GE(fd, 0);
	}

	void TearDown() override
	{
		mock::close(fd);
		mock::close(group);
		mock::close(container);
		device.reset();
		mock::core_answers_region_info = false;
		CoreTest::TearDown();
	}

	// VFIO_DEVICE_GET_REGION_INFO of region 2, into so many bytes.
	long region_info(u32 argsz)
	{
		answer.assign(std::max<size_t>(argsz, sizeof(vfio_region_info)), 0xee);
		info = {};
		info.argsz = argsz;
		info.index = 2;
		memcpy(answer.data(), &info, sizeof(info));
		const long ret =
			mock::ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, answer.data(), answer.size());
		memcpy(&info, answer.data(), sizeof(info));
		return ret;
	}

	std::optional<Registered> device;
	int container, group, fd;
	int error = 0;
	size_t cap_size = 0;
	u64 described = 0;
	std::vector<u8> answer;
	vfio_region_info info = {};
};

TEST_F(CoreFeature, MigrationSize)
{
	constexpr u32 kSize = COMPAT_FEATURE_MIG_DATA_SIZE;
	std::vector<u8> data(8);
	u64 length = 0;

	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kSize, data), 0);
	memcpy(&length, data.data(), sizeof(length));
	EXPECT_EQ(length, 0x123456789au);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | kSize, data),
		  0);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_SET | kSize, data), -EINVAL);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kSize, data, 15), -EINVAL);
	mock::plan.fail(mock::Fail::kCopyOut);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kSize, data), -EFAULT);

	error = -EIO;
	std::fill(data.begin(), data.end(), 0);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kSize, data), -EIO);
	EXPECT_EQ(data, std::vector<u8>(8)) << "nothing is said after an error";
}

TEST_F(CoreFeature, PrecopyInfoOfTheSecondVersion)
{
	constexpr u32 kInfo = COMPAT_FEATURE_PRECOPY_INFO_V2;
	std::vector<u8> none;

	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_SET | kInfo, none), -EINVAL) << "no pre-copy";
	(*device)->migration_flags = VFIO_MIGRATION_STOP_COPY | COMPAT_MIGRATION_PRE_COPY;
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | kInfo, none),
		  0);
	EXPECT_FALSE((*device)->precopy_info_v2) << "a probe changes nothing";
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kInfo, none), -EINVAL);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_SET | kInfo, none), 0);
	EXPECT_TRUE((*device)->precopy_info_v2);

	mock::close(fd);
	EXPECT_FALSE((*device)->precopy_info_v2) << "until the device is closed";
	fd = static_cast<int>(device_fd(group, devices[0].name));
}

TEST_F(CoreFeature, RegionInfo)
{
	EXPECT_EQ(region_info(sizeof(info)), 0);
	EXPECT_EQ(info.index, 2u);
	EXPECT_EQ(info.size, 0x1002u);
	EXPECT_EQ(info.offset, 0x40000000u);
	EXPECT_EQ(info.flags, u32{VFIO_REGION_INFO_FLAG_READ});
	EXPECT_EQ(info.argsz, sizeof(info));
	EXPECT_EQ(region_info(sizeof(info) - 1), -EINVAL);
	EXPECT_EQ(described, 1u) << "the driver is not asked in vain";

	error = -ENODEV;
	EXPECT_EQ(region_info(sizeof(info)), -ENODEV);
	EXPECT_EQ(info.size, 0u);
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, u64{8}), -EFAULT);

	// Kernels whose drivers answer it themselves.
	mock::core_answers_region_info = false;
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, u64{8}),
		  static_cast<long>(u32{VFIO_DEVICE_GET_REGION_INFO}) + 8);
}

TEST_F(CoreFeature, RegionInfoWithCapabilities)
{
	constexpr u32 kFlags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_CAPS;
	vfio_info_cap_header cap = {};

	cap_size = 24;
	EXPECT_EQ(region_info(sizeof(info) + 24), 0);
	EXPECT_EQ(info.flags, kFlags);
	EXPECT_EQ(info.argsz, sizeof(info) + 24);
	EXPECT_EQ(info.cap_offset, sizeof(info));
	memcpy(&cap, answer.data() + sizeof(info), sizeof(cap));
	EXPECT_EQ(cap.id, 7u);
	EXPECT_EQ(cap.next, 0u);

	EXPECT_EQ(region_info(sizeof(info) + 23), 0) << "too small is no error";
	EXPECT_EQ(info.flags, kFlags);
	EXPECT_EQ(info.argsz, sizeof(info) + 24) << "that is how much it takes";
	EXPECT_EQ(info.cap_offset, 0u);

	error = -EIO;
	EXPECT_EQ(region_info(sizeof(info) + 24), -EIO) << "the chain is freed";
}
