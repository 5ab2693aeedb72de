// SPDX-License-Identifier: GPL-2.0
//
// Devices registered and unregistered while userspace opens, uses and closes
// them from several threads. ThreadSanitizer watches.
#include <chrono>
#include <thread>

#include "core_world.hpp"
#include "uapi/vfio_group_merge.h"

namespace {

class CoreThreads : public CoreTest {};

TEST_F(CoreThreads, RegistrationAgainstUse)
{
	constexpr auto kTime = std::chrono::milliseconds(1200);
	std::atomic<bool> stop = false;
	std::atomic<u64> opens = 0, registrations = 0;
	std::vector<std::thread> threads;

	ops.open = [&](vfio_device *) { return opens++, 0; };
	ops.close = [](vfio_device *) {};
	ops.request = [](u32) {};
	for (::device &dev : devices)
		threads.emplace_back([&] {
			while (!stop) {
				Registered device(dev, ops);
				EXPECT_EQ(device.ret, 0);
				registrations++;
				std::this_thread::sleep_for(std::chrono::milliseconds(2));
			}
		});
	for (int user = 0; user < 4; user++)
		threads.emplace_back([&, user] {
			const mock::As as_process(&process);
			const std::string name = user % 2 ? "5" : "6";
			const std::string &dev = devices[user % 2 ? 0 : 1].name;
			u32 info = 0;

			while (!stop) {
				const int container = mock::open_container();
				const int group = mock::open_group(name);
				if (group < 0) {
					mock::close(container);
					continue;
				}
				if (set_container(group, container) == 0)
					mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
				status(group);
				vfio_core_file_enforced_coherent(mock::file_of(group));
				const long fd = device_fd(group, dev);
				if (user & 2)
					mock::close(group);
				if (fd >= 0) {
					mock::ioctl(static_cast<int>(fd), VFIO_DEVICE_FEATURE,
						    &info, 4);
					mock::close(static_cast<int>(fd));
				}
				mock::close(container);
				if (!(user & 2))
					mock::close(group);
			}
		});
	std::this_thread::sleep_for(kTime);
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	printf("%llu opens, %llu registrations\n", opens.load(), registrations.load());
	EXPECT_GT(opens, 10u);
	EXPECT_GT(registrations, 10u);
}

// A group takes another in and out again, while others open their devices and close them, open
// and close the other group, and unregister its device.
TEST_F(CoreThreads, MergingAgainstAllElse)
{
	std::atomic<bool> stop = false;
	std::atomic<u64> merges = 0, unmerges = 0, opens = 0;
	std::vector<std::thread> threads;
	kvm machine;

	ops.open = [&](vfio_device *) { return opens++, 0; };
	ops.close = [](vfio_device *) {};
	ops.request = [](u32) {};
	const auto until_stop = [&](auto body) {
		threads.emplace_back([&, body] {
			const mock::As as_process(&process);
			while (!stop)
				body();
		});
	};
	const auto call = [](u32 cmd, int group, int other, u32 flags) {
		const vfio_group_merge arg = {sizeof(arg), flags, other};

		return mock::ioctl(group, cmd, &arg, sizeof(arg));
	};
	Registered first(devices[0], ops);
	const int a = group_fd("5");
	std::atomic<int> b = -1;

	ASSERT_EQ(mock::ioctl(a, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	threads.emplace_back([&] {
		while (!stop) {
			Registered second(devices[1], ops);
			std::this_thread::sleep_for(std::chrono::milliseconds(20));
		}
	});
	until_stop([&] {
		b = mock::open_group("6");
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
		mock::close(b);
	});
	until_stop([&] { merges += call(VFIO_GROUP_MERGE, a, b, 0) == 0; });
	until_stop([&] {
		unmerges += call(VFIO_GROUP_UNMERGE, a, 6, VFIO_GROUP_UNMERGE_NUMBER) == 0;
	});
	until_stop([&] {
		for (const int group : {a, b.load()})
			for (const ::device &dev : devices)
				mock::close(static_cast<int>(device_fd(group, dev.name)));
		std::this_thread::sleep_for(std::chrono::microseconds(100));
	});
	until_stop([&] {
		vfio_core_file_set_kvm(mock::file_of(a), &machine);
		status(a);
		vfio_core_file_set_kvm(mock::file_of(a), nullptr);
	});
	while (merges < 10 || unmerges < 10 || opens < 10)
		std::this_thread::sleep_for(std::chrono::milliseconds(10));
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	printf("%llu merges, %llu unmerges, %llu opens\n", merges.load(), unmerges.load(),
	       opens.load());
	EXPECT_EQ(machine.refs, 1);
	mock::close(a);
}

// Ioctls go to the IOMMU while the container loses it and gets others.
TEST_F(CoreThreads, IoctlsAgainstNewIommus)
{
	constexpr auto kTime = std::chrono::milliseconds(600);
	std::atomic<bool> stop = false;
	std::atomic<u64> inside = 0, outside = 0, renewals = 0;
	std::vector<std::thread> threads;

	type1.extensions.insert(VFIO_TYPE1_NESTING_IOMMU);
	type1.ioctl = [](u32, u64) { return std::this_thread::yield(), 7L; };

	Registered device(devices[0], ops);
	int container, group;
	open_all(container, group, "5");
	const auto until_stop = [&](auto body) {
		threads.emplace_back([&, body] {
			const mock::As as_process(&process);
			while (!stop)
				body();
		});
	};

	for (int i = 0; i < 3; i++)
		until_stop([&] {
			const long result = mock::ioctl(container, VFIO_IOMMU_GET_INFO, u64{0});

			EXPECT_TRUE(result == 7 || result == -EINVAL) << result;
			(result == 7 ? inside : outside)++;
		});
	until_stop([&] {
		mock::ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1_NESTING_IOMMU);
		std::this_thread::sleep_for(std::chrono::microseconds(100));
	});
	until_stop([&] {
		EXPECT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), 0);
		EXPECT_EQ(set_container(group, container), 0);
		EXPECT_EQ(mock::ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
		renewals++;
		std::this_thread::sleep_for(std::chrono::microseconds(100));
	});
	std::this_thread::sleep_for(kTime);
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	printf("%llu ioctls inside, %llu too late, %llu IOMMUs\n", inside.load(), outside.load(),
	       renewals.load());
	EXPECT_GT(inside, 10u);
	EXPECT_GT(renewals, 10u);
	EXPECT_EQ(type1.opens, 1);
	EXPECT_EQ(type1.module_refs, 1);
	mock::close(group);
	EXPECT_EQ(type1.opens, 0);
	mock::close(container);
}

} // namespace
