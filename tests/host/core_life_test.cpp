// SPDX-License-Identifier: GPL-2.0
//
// The life of containers, groups and devices: opened and closed in all
// orders, registered and unregistered, with each step failing in turn.
#include <algorithm>
#include <thread>

#include "core_world.hpp"

namespace {

class CoreLife : public CoreTest {};

TEST_F(CoreLife, Container)
{
	const int container = mock::open_container();

	EXPECT_EQ(mock::ioctl(container, VFIO_GET_API_VERSION, u64{0}), VFIO_API_VERSION);
	EXPECT_EQ(mock::ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_IOMMU), 1);
	EXPECT_EQ(mock::ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 1);
	EXPECT_EQ(mock::ioctl(container, VFIO_CHECK_EXTENSION, u64{1234}), 0);
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL)
		<< "without a group";
	EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_MAP_DMA, u64{0}), -EINVAL);
	EXPECT_EQ(mock::close(container), 0);
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(mock::open_container(), -ENOMEM);
}

TEST_F(CoreLife, Group)
{
	EXPECT_EQ(mock::open_group("5"), -ENOENT);
	Registered device(devices[0], ops);
	ASSERT_EQ(device.ret, 0);
	EXPECT_TRUE(mock::group_visible("5"));
	const int group = group_fd("5"), other = mock::open_other();
	EXPECT_EQ(mock::open_group("5"), -EBUSY);
	EXPECT_EQ(status(group), VFIO_GROUP_FLAGS_VIABLE);
	groups[0].kernel_driver = true;
	EXPECT_EQ(status(group), 0);

	const int container = mock::open_container();
	EXPECT_EQ(set_container(group, container), -EBUSY) << "not viable";
	groups[0].kernel_driver = false;
	EXPECT_EQ(set_container(group, 99), -EBADF);
	EXPECT_EQ(set_container(group, -1), -EBADF);
	EXPECT_EQ(set_container(group, other), -EBADFD);
	EXPECT_EQ(set_container(group, group), -EBADFD);
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_SET_CONTAINER, u64{8}), -EFAULT);
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), -EINVAL);
	EXPECT_EQ(device_fd(group, devices[0].name), -EINVAL) << "without a container";
	ASSERT_EQ(set_container(group, container), 0);
	EXPECT_EQ(set_container(group, container), -EINVAL) << "again";
	EXPECT_EQ(status(group), VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
	EXPECT_EQ(device_fd(group, devices[0].name), -EINVAL) << "without an IOMMU";
	ASSERT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL);
	EXPECT_EQ(mock::ioctl(group, 0x1234, u64{0}), -ENOTTY);
	EXPECT_EQ(device_fd(group, "no such device"), -ENODEV);
	EXPECT_EQ(device_fd(group, devices[0].name.substr(1)), -ENODEV);
	EXPECT_EQ(device_fd(group, devices[0].name + "0"), -ENODEV);
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_GET_DEVICE_FD, u64{8}), -EFAULT);
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), 0);
	EXPECT_EQ(groups[0].dma_owner, nullptr);
	EXPECT_EQ(type1.opens, 0) << "the last group takes the IOMMU with it";

	vfio_group_status bad = {7, 0};
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_GET_STATUS, &bad, sizeof(bad)), -EINVAL);
	for (const int fd : {group, other, container})
		mock::close(fd);
	device.unregister();
	EXPECT_FALSE(mock::group_visible("5"));
}

TEST_F(CoreLife, AllOrdersOfClosing)
{
	enum { kContainer, kGroup, kFirst, kSecond, kUnregister, kCount };
	std::vector<int> order = {kContainer, kGroup, kFirst, kSecond, kUnregister};

	do {
		Registered device(devices[0], ops);
		int container, group;
		open_all(container, group, "5");
		const long first = device_fd(group, devices[0].name);
		const long second = device_fd(group, devices[0].name);
		ASSERT_GE(first, 0);
		ASSERT_GE(second, 0);
		EXPECT_EQ(device->open_count, 2u);
		EXPECT_EQ(device->module_refs, 2);
		EXPECT_EQ(type1.latest.load()->devices.size(), 1u);

		std::thread unregister;
		for (const int what : order) {
			switch (what) {
			case kContainer:
				EXPECT_EQ(mock::close(container), 0);
				EXPECT_EQ(type1.opens, type1.latest.load() ? 1 : 0);
				break;
			case kGroup:
				EXPECT_EQ(mock::close(group), 0);
				if (device->open_count) {
					EXPECT_EQ(mock::open_group("5"), -EBUSY)
						<< "its devices keep it open";
				}
				break;
			case kFirst:
				EXPECT_EQ(mock::close(static_cast<int>(first)), 0);
				break;
			case kSecond:
				EXPECT_EQ(mock::close(static_cast<int>(second)), 0);
				break;
			default:
				unregister = std::thread([&] { device.unregister(); });
			}
		}
		unregister.join();
		ASSERT_EQ(mock::live_files(), 0u);
		ASSERT_EQ(type1.opens, 0);
		ASSERT_EQ(opened, closed);
		if (HasFailure())
			break;
	} while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(CoreLife, UnsetContainerWaitsForDevices)
{
	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	const long fd = device_fd(group, devices[0].name);

	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), -EBUSY);
	mock::close(static_cast<int>(fd));
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), 0);
	mock::close(group);
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -EINVAL)
		<< "the privilege has gone with the group";
	mock::close(container);
}

TEST_F(CoreLife, TwoGroupsInAContainer)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	int container, group;
	open_all(container, group, "5");
	const int other = group_fd("6");

	type1.attach = [](iommu_group *) { return -EPERM; };
	EXPECT_EQ(set_container(other, container), -EPERM);
	EXPECT_EQ(groups[1].dma_owner, nullptr);
	type1.attach = nullptr;
	EXPECT_EQ(set_container(other, container), 0);
	EXPECT_EQ(type1.latest.load()->groups.size(), 2u);
	EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), 0);
	EXPECT_EQ(type1.opens, 1);
	mock::close(other);
	EXPECT_EQ(type1.opens, 0);
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreLife, SetIommuTriesDriversAndRollsBack)
{
	vfio_iommu_driver_ops better, unloading;
	Registered first(devices[0], ops), second(devices[1], ops);
	const int container = mock::open_container(), a = group_fd("5"), b = group_fd("6");

	EXPECT_EQ(vfio_core_register_iommu_driver(&type1), -EINVAL) << "twice";
	unloading.unloading = true;
	ASSERT_EQ(vfio_core_register_iommu_driver(&better), 0);
	ASSERT_EQ(vfio_core_register_iommu_driver(&unloading), 0);
	ASSERT_EQ(set_container(a, container), 0);
	ASSERT_EQ(set_container(b, container), 0);
	better.attach = [&](iommu_group *group) { return group == &groups[0] ? -EBUSY : 0; };
	ASSERT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	EXPECT_EQ(better.opens, 0);
	EXPECT_EQ(type1.opens, 1);
	EXPECT_EQ(type1.latest.load()->groups.size(), 2u);
	mock::close(a);
	mock::close(b);
	EXPECT_EQ(type1.closed, 0u);
	mock::close(container);
	EXPECT_EQ(better.module_refs, 0);
	vfio_core_unregister_iommu_driver(&better);
	vfio_core_unregister_iommu_driver(&unloading);
}

TEST_F(CoreLife, SetIommuErrors)
{
	Registered device(devices[0], ops);
	const int container = mock::open_container(), group = group_fd("5");

	ASSERT_EQ(set_container(group, container), 0);
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, u64{77}), -ENODEV);
	type1.open_error = -EPERM;
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), -EPERM);
	type1.open_error = 0;
	mock::close(container);
	mock::close(group);
}

TEST_F(CoreLife, Type1IsLoadedOnDemand)
{
	Registered device(devices[0], ops);
	std::vector<std::string> loaded;
	const int container = mock::open_container(), group = group_fd("5");

	ASSERT_EQ(set_container(group, container), 0);
	vfio_core_unregister_iommu_driver(&type1);
	mock::on_module_load = [&](const std::string &name) { loaded.push_back(name); };
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -ENODEV);
	EXPECT_EQ(loaded, std::vector<std::string>{"vfio_iommu_type1"});
	mock::on_module_load = [&](const std::string &) {
		EXPECT_EQ(vfio_core_register_iommu_driver(&type1), 0);
	};
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	mock::close(container);
	EXPECT_EQ(type1.closed, 1u) << "the driver hears of it, groups keep the container";
	mock::close(group);
}

TEST_F(CoreLife, OnlyTheModuleOfAnExtensionIsLoaded)
{
	std::vector<std::string> loaded;
	const int container = mock::open_container();
	const auto check = [&](u64 extension) {
		return mock::ioctl(container, VFIO_CHECK_EXTENSION, extension);
	};

	mock::on_module_load = [&](const std::string &name) { loaded.push_back(name); };
	EXPECT_EQ(check(VFIO_TYPE1v2_IOMMU), 1);
	for (const u64 none : {u64{0}, u64{63}, u64{64}, u64{VFIO_TYPE1v2_IOMMU + 64}, ~u64{0}})
		EXPECT_EQ(check(none), 0);
	EXPECT_EQ(loaded.size(), 0u);
	EXPECT_EQ(check(VFIO_SPAPR_TCE_v2_IOMMU), 0);
	EXPECT_EQ(loaded, std::vector<std::string>{"vfio_iommu_other"});
	mock::close(container);
}

TEST_F(CoreLife, FailedOpensLeaveNothing)
{
	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	u64 failures = 0;

	for (u64 nth = 1;; nth++) {
		mock::plan.reset();
		mock::plan.fail_nth(nth);
		const long fd = device_fd(group, devices[0].name);
		const bool fired = mock::plan.fired();
		mock::plan.reset();
		if (fd >= 0)
			mock::close(static_cast<int>(fd));
		if (!fired)
			break;
		failures++;
		EXPECT_LT(fd, 0) << nth;
		EXPECT_EQ(device->open_count, 0u);
		EXPECT_EQ(device->module_refs, 0);
		EXPECT_EQ(type1.latest.load()->devices.size(), 0u);
		EXPECT_EQ(mock::open_descriptors(), 2u);
	}
	printf("get device fd: %llu failure points\n", failures);
	EXPECT_GE(failures, 5u);
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreLife, FailedRegistrationsLeaveNothing)
{
	for (const bool emulated : {false, true}) {
		device plain = {"mdev", emulated ? nullptr : &groups[0], true};
		u64 failures = 0;

		for (u64 nth = 1;; nth++) {
			mock::plan.reset();
			mock::plan.fail_nth(nth);
			const bool made = [&] {
				Registered device(plain, ops, emulated);
				return device.ret == 0;
			}();
			const bool fired = mock::plan.fired();
			mock::plan.reset();
			EXPECT_EQ(made, !fired) << nth;
			EXPECT_EQ(mock::live_nodes(), 0u);
			EXPECT_EQ(mock::live_device_sets(), 0u);
			EXPECT_EQ(mock::taken_indexes(), 0u);
			EXPECT_EQ(mock::live_iommu_groups(), 0u);
			EXPECT_EQ(groups[0].refs, 0);
			if (!fired)
				break;
			failures++;
		}
		printf("register%s: %llu failure points\n", emulated ? " emulated" : "", failures);
		EXPECT_GE(failures, 6u);
	}
}

TEST_F(CoreLife, AllocatedDevices)
{
	vfio_device *device = nullptr;

	expect_warning("device allocated too small");
	EXPECT_EQ(vfio_core_device_alloc(1, &devices[0], &ops, &device), -EINVAL);
	ops.init = [](vfio_device *) { return -EIO; };
	EXPECT_EQ(vfio_core_device_alloc(sizeof(*device), &devices[0], &ops, &device), -EIO);
	ops.init = [](vfio_device *) { return 0; };
	ASSERT_EQ(vfio_core_device_alloc(sizeof(*device), &devices[0], &ops, &device), 0);
	mock::put_device(device);
}

TEST_F(CoreLife, RegistrationRules)
{
	device nowhere = {"x", nullptr, true}, incoherent = {"y", &groups[0], false};

	EXPECT_EQ(Registered(nowhere, ops).ret, -EINVAL);
	EXPECT_EQ(Registered(incoherent, ops).ret, -EINVAL);
	Registered device(devices[0], ops);
	expect_warning("device registered twice");
	EXPECT_EQ(Registered(devices[0], ops).ret, -EBUSY);
	EXPECT_TRUE(mock::group_visible("5"));
	::device sibling = {"0000:00:05.1", &groups[0], true};
	Registered second(sibling, ops);
	EXPECT_EQ(second.ret, 0);
	EXPECT_EQ(second->group, device->group);
	device.unregister();
	EXPECT_TRUE(mock::group_visible("5")) << "while one is left";
}

TEST_F(CoreLife, UnregisterAsksAndWaits)
{
	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	const int fd = static_cast<int>(device_fd(group, devices[0].name));
	const int second = static_cast<int>(device_fd(group, devices[0].name));
	std::atomic<u32> asked = 0;

	EXPECT_TRUE(device->shown);
	ops.request = [&](u32 count) {
		EXPECT_EQ(count, asked++);
		EXPECT_FALSE(device->shown) << "sysfs does not have it any more";
	};
	std::thread user([&] {
		const mock::As as_process(&process);
		while (asked < 3)
			std::this_thread::yield();
		// Those who have it open keep it; there will not be more.
		EXPECT_EQ(device_fd(group, devices[0].name), -ENODEV);
		mock::close(fd);
		mock::close(second);
	});
	device.unregister();
	user.join();
	EXPECT_GE(asked, 3u);

	// The group's file is still open, of a group that is no more.
	EXPECT_EQ(status(group), -ENODEV);
	EXPECT_EQ(set_container(group, container), -ENODEV);
	EXPECT_FALSE(mock::group_visible("5"));
	EXPECT_EQ(type1.opens, 0);
	// And one that comes anew is another.
	Registered again(devices[0], ops);
	EXPECT_TRUE(mock::group_visible("5"));
	const int fresh = group_fd("5");
	EXPECT_EQ(status(fresh), VFIO_GROUP_FLAGS_VIABLE);
	mock::close(group);
	mock::close(container);
	mock::close(fresh);
}

TEST_F(CoreLife, UnregisterIsNotStoppedByASignal)
{
	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	const int fd = static_cast<int>(device_fd(group, devices[0].name));

	mock::signal_pending = true;
	std::thread user([&] {
		std::this_thread::sleep_for(std::chrono::milliseconds(30));
		mock::close(fd);
	});
	device.unregister();
	user.join();
	EXPECT_GE(requests.size(), 2u);
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreLife, DeviceSets)
{
	::device sibling = {"0000:00:05.1", &groups[0], true};
	Registered first(devices[0], ops, false, 77), second(sibling, ops, false, 77);
	Registered alone(devices[1], ops);
	int container, group;
	open_all(container, group, "5");
	const long a = device_fd(group, devices[0].name), b = device_fd(group, devices[0].name);
	const long c = device_fd(group, sibling.name);

	EXPECT_EQ(first->set, second->set);
	EXPECT_NE(first->set, alone->set);
	EXPECT_EQ(mock::live_device_sets(), 2u);
	EXPECT_EQ(first->open_count, 2u);
	EXPECT_EQ(second->open_count, 1u);
	for (const long fd : {a, b, c})
		mock::close(static_cast<int>(fd));
	mock::close(group);
	mock::close(container);
}

TEST_F(CoreLife, NoIommuMode)
{
	device bare = {"bare", nullptr, true};
	EXPECT_EQ(Registered(bare, ops).ret, -EINVAL) << "off by default";

	mock::noiommu_allowed = true;
	Registered device(bare, ops), normal(devices[1], ops);
	ASSERT_EQ(device.ret, 0);
	EXPECT_EQ(mock::taints, 1u);
	const std::string name = "noiommu-" + std::to_string(bare.group->id);
	EXPECT_EQ(mock::open_group(name), -EPERM);
	process.task.sys_rawio = true;
	const int group = group_fd(name), container = mock::open_container();
	process.task.sys_rawio = false;
	EXPECT_EQ(set_container(group, container), -EPERM);
	process.task.sys_rawio = true;
	EXPECT_EQ(mock::ioctl(container, VFIO_CHECK_EXTENSION, VFIO_NOIOMMU_IOMMU), 1);
	ASSERT_EQ(set_container(group, container), 0);
	const int other = group_fd("6");
	EXPECT_EQ(set_container(other, container), -EPERM) << "they do not mix";
	EXPECT_EQ(mock::ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU), 0);
	EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), -ENODEV);
	ASSERT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_NOIOMMU_IOMMU), 0);
	process.task.sys_rawio = false;
	EXPECT_EQ(device_fd(group, "bare"), -EPERM);
	process.task.sys_rawio = true;
	const long fd = device_fd(group, "bare");
	EXPECT_GE(fd, 0);
	EXPECT_EQ(mock::ioctl(container, VFIO_IOMMU_MAP_DMA, u64{0}), -ENOTTY);
	u8 byte = 0;
	EXPECT_EQ(vfio_core_device_dma_rw(device->core, kPage, &byte, 1, false), -ENOTTY);
	for (const int each : {static_cast<int>(fd), group, container, other})
		mock::close(each);
}

} // namespace
