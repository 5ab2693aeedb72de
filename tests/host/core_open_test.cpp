// SPDX-License-Identifier: GPL-2.0
//
// What surrounds a driver's open_device and close_device: the IOMMU knows the
// device, the virtual machine is held, nobody opens it that is going. And what
// ioctls that take long keep of a container.
#include <algorithm>
#include <array>

#include "core_world.hpp"

namespace {

class CoreOpen : public CoreTest {
protected:
	void SetUp() override
	{
		CoreTest::SetUp();
		type1.extensions.insert(VFIO_TYPE1_NESTING_IOMMU);
	}

	static long unset(int group)
	{
		return mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0});
	}

	static long set_iommu(int container, u64 type = VFIO_TYPE1v2_IOMMU)
	{
		return mock::ioctl(container, VFIO_SET_IOMMU, type);
	}

	static long nesting(int container)
	{
		return mock::ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_NESTING_IOMMU);
	}

	bool iommu_knows(vfio_device *device) const
	{
		return type1.latest && type1.latest.load()->devices.contains(device);
	}

	int open_device(int group)
	{
		return static_cast<int>(device_fd(group, devices[0].name));
	}
};

TEST_F(CoreOpen, NobodyOpensADeviceThatIsGoing)
{
	int container = -1, group = -1, fd = -1;

	ops.request = [&](u32 count) {
		requests.push_back(count);
		EXPECT_EQ(open_device(group), -ENODEV);
		EXPECT_EQ(opened, 1u);
		EXPECT_TRUE(vfio_core_file_has_dev(mock::file_of(group), mock::file_of(fd)->device))
			<< "who has it keeps it";
		mock::close(fd);
	};
	Registered device(devices[0], ops);
	open_all(container, group, "5");
	fd = open_device(group);
	ASSERT_GE(fd, 0);
	device.unregister();
	EXPECT_EQ(requests.size(), 1u);
	mock::close(group);
	mock::close(container);
}

} // namespace
