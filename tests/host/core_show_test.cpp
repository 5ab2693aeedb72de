// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of containers and devices, and when their folders come and go.
#include "core_world.hpp"
#include "shim/seq.h"

namespace {

class CoreShow : public CoreTest {
protected:
	static std::string read(const std::string &name, u32 file)
	{
		std::string text;

		EXPECT_EQ(mock::read_debug(name, file, text), 0);
		return text;
	}
};

TEST_F(CoreShow, AContainer)
{
	Registered device(devices[0], ops);
	const int container = mock::open_container(), group = group_fd("5");

	EXPECT_EQ(mock::debug_folders(), 1u) << "the device's alone";
	ASSERT_EQ(set_container(group, container), 0);

	const std::string name = mock::latest_container();

	EXPECT_EQ(read(name, SHIM_DEBUG_OWNER), "pid 42\ncomm host_test\n");
	EXPECT_EQ(read(name, SHIM_DEBUG_SUMMARY), "") << "without an IOMMU";
	ASSERT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	EXPECT_EQ(read(name, SHIM_DEBUG_SUMMARY), "iommu mock\n");
	EXPECT_EQ(read(name, SHIM_DEBUG_MAPPINGS), "") << "the driver shows none";
	EXPECT_EQ(read(name, SHIM_DEBUG_GROUPS),
		  "group 5 type iommu merged 0\n"
		  "device 0000:00:05.0 driver mock-pci opens 0 gate none\n");

	const int file = static_cast<int>(device_fd(group, devices[0].name));

	EXPECT_EQ(read(name, SHIM_DEBUG_GROUPS),
		  "group 5 type iommu merged 0\n"
		  "device 0000:00:05.0 driver mock-pci opens 1 gate none\n");
	EXPECT_EQ(read(devices[0].name, SHIM_DEVICE_USER),
		  "opens 1\ngroup 5\ncontainer " + name + "\npid 42\ncomm host_test\n");
	mock::close(file);
	EXPECT_EQ(read(devices[0].name, SHIM_DEVICE_USER),
		  "opens 0\ngroup 5\ncontainer " + name + "\n");
	mock::close(group);
	EXPECT_EQ(read(name, SHIM_DEBUG_GROUPS), "");
	mock::close(container);
	EXPECT_EQ(mock::debug_folders(), 1u);
}

TEST_F(CoreShow, CallsThatFailOrLast)
{
	int container = -1, group = -1;
	Registered device(devices[0], ops);

	open_all(container, group, "5");
	type1.ioctl = [](u32 cmd, u64 arg) {
		return cmd == VFIO_IOMMU_MAP_DMA ? -static_cast<long>(arg) : 0L;
	};
	for (const int error : {EEXIST, EFAULT, EEXIST, ENOLCK})
		EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_MAP_DMA, u64(error)), -error);
	type1.ticks = 3;
	EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_UNMAP_DMA, u64{0}), 0);
	type1.ticks = 2;
	EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_UNMAP_DMA, u64{0}), 0);
	type1.ticks = 0;
	EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_GET_INFO, u64{0}), 0);
	EXPECT_EQ(read(mock::latest_container(), SHIM_DEBUG_STATISTICS),
		  "failed map EFAULT 1\nfailed map EEXIST 2\nfailed map other 1\n"
		  "longest unmap 12 ms\n");
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreShow, WhileAGroupIsAttached)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	int container = -1, group = -1;

	open_all(container, group, "5");

	const std::string name = mock::latest_container();
	const int other = group_fd("6");

	type1.attach = [&](iommu_group *) {
		std::string text;

		EXPECT_EQ(mock::read_debug(name, SHIM_DEBUG_GROUPS, text), -EBUSY);
		EXPECT_EQ(mock::read_debug(name, SHIM_DEBUG_SUMMARY, text), -EBUSY);
		EXPECT_EQ(mock::read_debug(name, SHIM_DEBUG_OWNER, text), 0);
		return 0;
	};
	EXPECT_EQ(set_container(other, container), 0);
	type1.attach = nullptr;
	EXPECT_EQ(read(name, SHIM_DEBUG_GROUPS).find("group 6"), 0u);
	for (const int fd : {group, other, container})
		mock::close(fd);
}

int show_numbers(void *, u32 part, u64 *cursor, seq_file *seq)
{
	shim_seq_printf(seq, "%u:%llu\n", part, *cursor);
	*cursor += 2;
	return *cursor < 6;
}

TEST_F(CoreShow, WhatTheIommuDriverShows)
{
	Registered device(devices[0], ops);
	vfio_iommu_extension extension = mock::kIommuExtension;
	int container = -1, group = -1;

	extension.show = show_numbers;
	vfio_iommu_driver_extend(&type1, &extension);
	open_all(container, group, "5");
	EXPECT_EQ(read(mock::latest_container(), SHIM_DEBUG_MAPPINGS), "2:0\n2:2\n2:4\n");
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreShow, StatesOfMigration)
{
	static constexpr const char *kNames[] = {"ERROR\n",	"STOP\n",	 "RUNNING\n",
						 "STOP_COPY\n", "RESUMING\n",	 "RUNNING_P2P\n",
						 "PRE_COPY\n",	"PRE_COPY_P2P\n"};
	u32 state = 0;
	int result = 0;
	std::string text;

	ops.has |= SHIM_DEVICE_MIGRATION;
	ops.get_state = [&](u32 *now) {
		*now = state;
		return result;
	};
	Registered device(devices[0], ops);

	device->migration_flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P;
	for (const char *name : kNames) {
		EXPECT_EQ(read(devices[0].name, SHIM_DEVICE_STATE), name);
		state++;
	}
	EXPECT_EQ(read(devices[0].name, SHIM_DEVICE_STATE), "Invalid\n");
	EXPECT_EQ(read(devices[0].name, SHIM_DEVICE_FEATURES), "stop-copy\np2p\n");
	result = -EIO;
	EXPECT_EQ(mock::read_debug(devices[0].name, SHIM_DEVICE_STATE, text), -EINVAL);
	device.unregister();
	EXPECT_EQ(mock::read_debug(devices[0].name, SHIM_DEVICE_STATE, text), -ENOENT);
}

} // namespace
