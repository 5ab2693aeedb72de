// SPDX-License-Identifier: GPL-2.0
#include "core_world.hpp"

#include <algorithm>

void CoreTest::SetUp()
{
	HostTest::SetUp();
	mock::noiommu_allowed = false;
	mock::taints = 0;
	mock::on_module_load = nullptr;
	mock::signal_pending = false;
	groups[0].id = 5;
	groups[1].id = 6;
	devices[0] = {"0000:00:05.0", &groups[0], true};
	devices[1] = {"0000:00:06.0", &groups[1], true};
	noiommu.noiommu = true;
	noiommu.has = 0;
	ASSERT_EQ(vfio_core_init(&noiommu, mock::kIommuModules), 0);
	ASSERT_EQ(vfio_core_register_iommu_driver(&type1), 0);
	vfio_iommu_driver_extend(&type1, &mock::kIommuExtension);
	fill_ops();
}

void CoreTest::TearDown()
{
	EXPECT_EQ(mock::open_descriptors(), 0u);
	EXPECT_EQ(mock::live_files(), 0u) << "files leaked";
	EXPECT_EQ(mock::live_nodes(), 0u) << "groups leaked";
	EXPECT_EQ(mock::live_iommu_groups(), 0u);
	EXPECT_EQ(mock::live_device_sets(), 0u);
	EXPECT_EQ(mock::taken_indexes(), 0u);
	EXPECT_EQ(mock::debug_folders(), 0u) << "folders left in debugfs";
	for (const iommu_group &group : groups) {
		EXPECT_EQ(group.refs, 0);
		EXPECT_EQ(group.dma_owner, nullptr);
	}
	EXPECT_EQ(type1.opens, 0);
	EXPECT_EQ(type1.module_refs, 0);
	EXPECT_EQ(noiommu.module_refs, 0);
	EXPECT_EQ(opened, closed);
	vfio_core_unregister_iommu_driver(&type1);
	vfio_core_exit();
	HostTest::TearDown();
}

void CoreTest::fill_ops()
{
	ops.has = SHIM_DEVICE_INIT | SHIM_DEVICE_OPEN | SHIM_DEVICE_CLOSE | SHIM_DEVICE_READ |
		  SHIM_DEVICE_WRITE | SHIM_DEVICE_IOCTL | SHIM_DEVICE_REQUEST |
		  SHIM_DEVICE_DMA_UNMAP;
	ops.init = [](vfio_device *) { return 0; };
	ops.open = [this](vfio_device *device) {
		EXPECT_EQ(device->open_count, 1u);
		opened++;
		return 0;
	};
	ops.close = [this](vfio_device *) { closed++; };
	ops.ioctl = [](u32 cmd, u64 arg) { return static_cast<long>(cmd + arg); };
	ops.rw = [](bool write, u64, size_t size, s64 *position) {
		*position += static_cast<s64>(size);
		return static_cast<long>(size) * (write ? 2 : 1);
	};
	ops.request = [this](u32 count) { requests.push_back(count); };
}

CoreTest::Registered::Registered(::device &dev, const vfio_device_ops &ops, bool emulated, u64 set)
{
	ret = vfio_core_device_init(&handle, &dev, &ops);
	if (ret)
		return;
	if (set) {
		EXPECT_EQ(vfio_core_device_assign_set(handle.core, set), 0);
	}
	ret = emulated ? vfio_core_device_register_emulated(handle.core) :
			 vfio_core_device_register(handle.core);
	if (ret)
		mock::put_device(&handle);
}

void CoreTest::Registered::unregister()
{
	EXPECT_EQ(ret, 0);
	ret = -ENODEV;
	vfio_core_device_unregister(handle.core);
	EXPECT_EQ(handle.group, nullptr);
	EXPECT_EQ(handle.refs, 1);
	mock::put_device(&handle);
	EXPECT_TRUE(handle.released);
	EXPECT_EQ(handle.module_refs, 0);
}

CoreTest::Registered::~Registered()
{
	if (ret == 0)
		unregister();
}

int CoreTest::group_fd(const std::string &name)
{
	const int fd = mock::open_group(name);

	EXPECT_GE(fd, 0) << name;
	return fd;
}

void CoreTest::open_all(int &container, int &group, const std::string &name)
{
	container = mock::open_container();
	group = group_fd(name);
	ASSERT_EQ(set_container(group, container), 0);
	ASSERT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
}

long CoreTest::status(int group)
{
	vfio_group_status status = {sizeof(status), 0xffff};
	const long ret = mock::ioctl(group, VFIO_GROUP_GET_STATUS, &status, sizeof(status));

	return ret ? ret : status.flags;
}

long CoreTest::feature(int fd, u32 flags, std::vector<u8> &data, u32 argsz)
{
	const u32 header[2] = {argsz == ~0u ? static_cast<u32>(8 + data.size()) : argsz, flags};
	std::vector<u8> arg(sizeof(header) + data.size());

	memcpy(arg.data(), header, sizeof(header));
	std::copy(data.begin(), data.end(), arg.begin() + sizeof(header));
	const long ret = mock::ioctl(fd, VFIO_DEVICE_FEATURE, arg.data(), arg.size());
	std::copy(arg.begin() + sizeof(header), arg.end(), data.begin());
	return ret;
}
