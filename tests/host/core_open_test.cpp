// SPDX-License-Identifier: GPL-2.0
//
// What holds around a driver's open_device and close_device: the IOMMU driver
// knows the device, the virtual machine is held, and nobody opens a device that is
// being unregistered. Also: how long ioctls keep a container's IOMMU.
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

TEST_F(CoreOpen, DriversPinInOpenAndClose)
{
	std::array<page *, 2> pages;
	bool fails = true;

	ops.open = [&](vfio_device *device) {
		EXPECT_TRUE(iommu_knows(device)) << "told of the device before it is opened";
		EXPECT_EQ(vfio_core_device_pin(device->core, 0x5000, 2, 3, pages.data()), 2);
		opened += !fails;
		return fails ? -EIO : 0;
	};
	ops.close = [&](vfio_device *device) {
		EXPECT_TRUE(iommu_knows(device)) << "and until it is closed";
		vfio_core_device_unpin(device->core, 0x5000, 2);
		closed++;
	};

	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	EXPECT_EQ(open_device(group), -EIO);
	EXPECT_FALSE(iommu_knows(&device.handle)) << "nothing is left of an open that failed";
	fails = false;
	const int fd = open_device(group), second = open_device(group);
	EXPECT_EQ(opened, 1u);
	mock::close(fd);
	EXPECT_TRUE(iommu_knows(&device.handle));
	mock::close(second);
	EXPECT_FALSE(iommu_knows(&device.handle));
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreOpen, OnlyWhoHearsOfUnmapsPins)
{
	vfio_device_ops deaf = ops;
	deaf.has &= ~u32{SHIM_DEVICE_DMA_UNMAP};
	Registered hears(devices[0], ops), quiet(devices[1], deaf);
	int container, group;
	open_all(container, group, "5");
	const int other = group_fd("6");
	ASSERT_EQ(set_container(other, container), 0);
	const int fd = open_device(group);
	const int quiet_fd = static_cast<int>(device_fd(other, devices[1].name));
	ASSERT_GE(quiet_fd, 0);
	std::vector<page *> pages(513);
	u8 byte = 0;

	EXPECT_EQ(vfio_core_device_pin(hears->core, 0, 1, 3, pages.data()), 1);
	for (const int npages : {1, 512, 513, 0, -1})
		EXPECT_EQ(vfio_core_device_pin(quiet->core, 0, npages, 3, pages.data()), -EINVAL)
			<< npages;
	EXPECT_EQ(vfio_core_device_dma_rw(quiet->core, kPage, &byte, 1, true), 0);
	expect_warning("unpin by a device that cannot pin");
	vfio_core_device_unpin(quiet->core, 0, 1);
	for (const int each : {fd, quiet_fd, group, other, container})
		mock::close(each);
}

TEST_F(CoreOpen, AMachineIsHeldWhileOpen)
{
	kvm machine, *at_close = nullptr;
	ops.close = [&](vfio_device *handle) { closed++, at_close = handle->kvm_set; };

	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	file *group_file = mock::file_of(group);

	vfio_core_file_set_kvm(group_file, &machine);
	EXPECT_EQ(machine.refs, 1) << "the group borrows it";
	const int fd = open_device(group), second = open_device(group);
	EXPECT_EQ(device->kvm_set, &machine);
	EXPECT_EQ(machine.refs, 2);
	vfio_core_file_set_kvm(group_file, nullptr);
	machine.refs--;
	mock::close(fd);
	EXPECT_EQ(machine.refs, 1);
	EXPECT_EQ(device->kvm_set, &machine);
	mock::close(second);
	EXPECT_EQ(at_close, &machine) << "the driver has it until it is closed";
	EXPECT_EQ(machine.refs, 0);
	EXPECT_EQ(device->kvm_set, nullptr);

	// A machine that is being destroyed is not taken.
	vfio_core_file_set_kvm(group_file, &machine);
	const int third = open_device(group);
	ASSERT_GE(third, 0);
	EXPECT_EQ(device->kvm_set, nullptr);
	mock::close(third);
	vfio_core_file_set_kvm(group_file, nullptr);

	// A device that is not opened holds none.
	kvm other;
	vfio_core_file_set_kvm(group_file, &other);
	mock::plan.fail(mock::Fail::kDriver);
	EXPECT_EQ(open_device(group), -EIO);
	EXPECT_EQ(other.refs, 1);
	EXPECT_EQ(device->kvm_set, nullptr);
	vfio_core_file_set_kvm(group_file, nullptr);
	mock::close(group);
	mock::close(container);
}

// KVM calls with a lock held that drivers take while they are opened, closed.
TEST_F(CoreOpen, KvmNeedsNoLockThatIsHeldAroundDrivers)
{
	int container = -1, group = -1;
	kvm machine;
	const auto kvm_calls = [&](vfio_device *) {
		file *group_file = mock::file_of(group);

		vfio_core_file_set_kvm(group_file, nullptr);
		vfio_core_file_set_kvm(group_file, &machine);
		EXPECT_TRUE(vfio_core_file_enforced_coherent(group_file));
		vfio_core_file_iommu_group(group_file)->refs--;
		return 0;
	};
	ops.open = kvm_calls;
	ops.close = kvm_calls;

	Registered device(devices[0], ops);
	open_all(container, group, "5");
	mock::close(open_device(group));
	vfio_core_file_set_kvm(mock::file_of(group), nullptr);
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreOpen, NobodyOpensADeviceThatIsGoing)
{
	int container = -1, group = -1, fd = -1;
	vfio_core_device *core = nullptr;

	ops.request = [&](u32 count) {
		requests.push_back(count);
		EXPECT_EQ(open_device(group), -ENODEV);
		EXPECT_EQ(opened, 1u);
		EXPECT_TRUE(vfio_core_file_has_dev(mock::file_of(group), core))
			<< "who has it keeps it";
		mock::close(fd);
	};
	Registered device(devices[0], ops);
	core = device->core;
	open_all(container, group, "5");
	fd = open_device(group);
	ASSERT_GE(fd, 0);
	device.unregister();
	EXPECT_EQ(requests.size(), 1u);
	mock::close(group);
	mock::close(container);
}

// Ioctls that are inside an IOMMU keep that one, however many came after it.
TEST_F(CoreOpen, EachIommuGoesWithItsOwnUsers)
{
	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	const auto renew = [&] {
		ASSERT_EQ(unset(group), 0);
		ASSERT_EQ(set_container(group, container), 0);
		ASSERT_EQ(set_iommu(container), 0);
	};
	int depth = 0;

	type1.ioctl = [&](u32, u64 levels) {
		depth++;
		for (int i = 0; i < 20; i++)
			renew();
		EXPECT_EQ(type1.opens, depth + 1) << "one for each that is inside, and the latest";
		EXPECT_EQ(type1.module_refs, depth + 1);
		if (levels) {
			EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_GET_INFO, levels - 1), 7);
			EXPECT_EQ(type1.opens, depth + 1)
				<< "those inside renewed it, and each has gone with the last";
		}
		depth--;
		return 7L;
	};
	for (const u64 levels : {0, 1, 3}) {
		EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_GET_INFO, levels), 7);
		EXPECT_EQ(type1.opens, 1);
	}
	type1.ioctl = [&](u32, u64) {
		EXPECT_EQ(unset(group), 0);
		EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_GET_INFO, u64{0}), -EINVAL);
		EXPECT_EQ(type1.opens, 1);
		return 8L;
	};
	EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_GET_INFO, u64{0}), 8);
	EXPECT_EQ(type1.opens, 0);
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(set_container(group, container), 0);
	EXPECT_EQ(set_iommu(container), -ENOMEM);
	EXPECT_EQ(set_iommu(container), 0);
	mock::close(group);
	mock::close(container);
}

// Offered where SET_IOMMU would work.
TEST_F(CoreOpen, NestingIsWhatSetIommuDoes)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	const int container = mock::open_container(), group = group_fd("5"), other = group_fd("6");
	u64 asked = 0;
	iommu_group *flat = nullptr;

	type1.attach = [&](iommu_group *each) {
		if (type1.latest.load()->extension != VFIO_TYPE1_NESTING_IOMMU)
			return 0;
		asked++;
		return each == flat ? -EINVAL : 0;
	};
	EXPECT_EQ(nesting(container), 0) << "no group, no IOMMU";
	ASSERT_EQ(set_container(group, container), 0);
	EXPECT_EQ(nesting(container), 1);
	EXPECT_EQ(type1.opens, 0) << "asking leaves nothing";
	ASSERT_EQ(set_container(other, container), 0);
	EXPECT_EQ(nesting(container), 1);
	EXPECT_EQ(asked, 3u);
	for (iommu_group &each : groups) {
		flat = &each;
		EXPECT_EQ(nesting(container), 0) << "one of them cannot";
		EXPECT_EQ(type1.opens, 0);
		EXPECT_EQ(type1.module_refs, 0);
		EXPECT_EQ(set_iommu(container, VFIO_TYPE1_NESTING_IOMMU), -EINVAL);
	}
	mock::plan.fail(mock::Fail::kDriver);
	EXPECT_EQ(nesting(container), 0) << "nor would SET_IOMMU";
	flat = nullptr;
	EXPECT_EQ(nesting(container), 1);
	ASSERT_EQ(set_iommu(container, VFIO_TYPE1_NESTING_IOMMU), 0);
	asked = 0;
	EXPECT_EQ(nesting(container), 1) << "what the driver says of its own";
	EXPECT_EQ(asked, 0u);
	for (const int each : {group, other, container})
		mock::close(each);
}

// Without a group behind an IOMMU nothing could nest.
TEST_F(CoreOpen, NestingNeedsAnIommu)
{
	::device plain{"emulated", nullptr, true};
	Registered device(plain, ops, true), real(devices[0], ops);
	ASSERT_EQ(device.ret, 0);
	const int container = mock::open_container();
	const int emulated = group_fd(std::to_string(plain.group->id)), group = group_fd("5");

	ASSERT_EQ(set_container(emulated, container), 0);
	EXPECT_EQ(nesting(container), 0);
	EXPECT_EQ(set_iommu(container, VFIO_TYPE1_NESTING_IOMMU), -ENODEV);
	ASSERT_EQ(set_container(group, container), 0);
	EXPECT_EQ(nesting(container), 1);
	EXPECT_EQ(set_iommu(container, VFIO_TYPE1_NESTING_IOMMU), 0);
	for (const int each : {group, emulated, container})
		mock::close(each);
}

} // namespace
