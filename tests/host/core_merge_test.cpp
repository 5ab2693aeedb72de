// SPDX-License-Identifier: GPL-2.0
//
// Groups that are merged, and groups used without a container's file
// (include/uapi/vfio_group_merge.h).
#include <algorithm>
#include <thread>

#include "core_world.hpp"
#include "uapi/vfio_group_merge.h"

namespace {

constexpr long kIn = VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;
constexpr long kMerged = kIn | VFIO_GROUP_FLAGS_MERGED;

class CoreMerge : public CoreTest {
protected:
	void SetUp() override
	{
		CoreTest::SetUp();
		third_group.id = 7;
		third_device = {"0000:00:07.0", &third_group, true};
	}

	void TearDown() override
	{
		EXPECT_EQ(third_group.refs, 0);
		EXPECT_EQ(third_group.dma_owner, nullptr);
		CoreTest::TearDown();
	}

	static long request(u32 cmd, int group, int other, u32 flags = 0, u32 argsz = 12)
	{
		const vfio_group_merge arg = {argsz, flags, other};

		return mock::ioctl(group, cmd, &arg, sizeof(arg));
	}

	static long merge(int group, int other)
	{
		return request(VFIO_GROUP_MERGE, group, other);
	}

	static long unmerge(int group, int other)
	{
		return request(VFIO_GROUP_UNMERGE, group, other);
	}

	static long unmerge_number(int group, int number)
	{
		return request(VFIO_GROUP_UNMERGE, group, number, VFIO_GROUP_UNMERGE_NUMBER);
	}

	static long set_iommu(int fd)
	{
		return mock::ioctl(fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
	}

	static long unset(int group)
	{
		return mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0});
	}

	static int open_device(int group, const ::device &dev)
	{
		return static_cast<int>(device_fd(group, dev.name));
	}

	u64 attached() const
	{
		return type1.latest.load() ? type1.latest.load()->groups.size() : 0;
	}

	static void close_all(std::initializer_list<int> fds)
	{
		for (const int fd : fds)
			EXPECT_EQ(mock::close(fd), 0) << fd;
	}

	iommu_group third_group;
	::device third_device;
};

TEST_F(CoreMerge, OneContainerAndAllDevices)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	int container, a;
	open_all(container, a, "5");
	const int b = group_fd("6");

	EXPECT_EQ(device_fd(a, devices[1].name), -ENODEV) << "not merged yet";
	ASSERT_EQ(merge(a, b), 0);
	EXPECT_EQ(type1.opens, 1);
	EXPECT_EQ(attached(), 2u);
	EXPECT_EQ(status(a), kMerged);
	EXPECT_EQ(status(b), kMerged);
	for (const int group : {a, b}) {
		EXPECT_EQ(set_container(group, container), -EBUSY);
		EXPECT_EQ(unset(group), -EBUSY);
		for (const ::device &dev : devices) {
			const int fd = open_device(group, dev);

			EXPECT_GE(fd, 0);
			mock::close(fd);
		}
		EXPECT_EQ(device_fd(group, "another"), -ENODEV);
	}
	close_all({a, b, container});
}

TEST_F(CoreMerge, AProgramWithoutContainerFiles)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	const int a = group_fd("5"), b = group_fd("6");
	u32 last_cmd = 0;

	type1.ioctl = [&](u32 cmd, u64) { return last_cmd = cmd, 7L; };
	for (const u64 extension : {VFIO_GROUP_MERGE_EXTENSION, VFIO_TYPE1v2_IOMMU})
		EXPECT_EQ(mock::ioctl(a, VFIO_CHECK_EXTENSION, extension), 1);
	EXPECT_EQ(mock::ioctl(a, VFIO_CHECK_EXTENSION, u64{1234}), 0);
	EXPECT_EQ(mock::ioctl(a, VFIO_IOMMU_MAP_DMA, u64{0}), -ENOTTY) << "no container";
	EXPECT_EQ(status(a), VFIO_GROUP_FLAGS_VIABLE) << "asking makes no container";

	ASSERT_EQ(set_iommu(a), 0);
	EXPECT_EQ(set_iommu(a), -EINVAL) << "twice";
	EXPECT_EQ(status(a), kIn);
	EXPECT_EQ(mock::ioctl(a, VFIO_IOMMU_MAP_DMA, u64{0}), 7);
	EXPECT_EQ(last_cmd, static_cast<u32>(VFIO_IOMMU_MAP_DMA));
	ASSERT_EQ(merge(a, b), 0);
	EXPECT_EQ(mock::ioctl(b, VFIO_IOMMU_UNMAP_DMA, u64{0}), 7);
	EXPECT_EQ(last_cmd, static_cast<u32>(VFIO_IOMMU_UNMAP_DMA));
	EXPECT_EQ(unmerge(a, b), 0);
	EXPECT_EQ(mock::ioctl(b, VFIO_IOMMU_UNMAP_DMA, u64{0}), -ENOTTY);
	EXPECT_EQ(status(b), VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_EQ(unset(a), 0) << "the set is no more";
	EXPECT_EQ(type1.opens, 0);
	close_all({a, b});
}

// As far as the kernel knows it of devices, which it does from 6.2 on.
TEST_F(CoreMerge, CoherencyIsThatOfAllMembers)
{
	devices[0].enforces_coherency = 1;
	devices[1].enforces_coherency = 0;
	Registered first(devices[0], ops), second(devices[1], ops);
	const int a = group_fd("5"), b = group_fd("6");

	EXPECT_TRUE(vfio_core_file_enforced_coherent(mock::file_of(a)));
	ASSERT_EQ(merge(a, b), 0);
	EXPECT_FALSE(vfio_core_file_enforced_coherent(mock::file_of(a)));
	devices[1].enforces_coherency = 1;
	EXPECT_TRUE(vfio_core_file_enforced_coherent(mock::file_of(a)));
	close_all({a, b});
}

TEST_F(CoreMerge, SetIommuAfterMerging)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	const int a = group_fd("5"), b = group_fd("6");

	ASSERT_EQ(merge(a, b), 0);
	EXPECT_EQ(device_fd(a, devices[0].name), -EINVAL) << "no IOMMU yet";
	EXPECT_EQ(mock::ioctl(a, VFIO_IOMMU_MAP_DMA, u64{0}), -EINVAL);
	ASSERT_EQ(set_iommu(b), 0);
	EXPECT_EQ(attached(), 2u);
	const int fd = open_device(a, devices[1]);
	EXPECT_GE(fd, 0);
	close_all({a, b, fd});
}

TEST_F(CoreMerge, SetIommuOnAGroupLeavesNoContainerBehind)
{
	Registered device(devices[0], ops);
	const int group = group_fd("5"), container = mock::open_container();

	EXPECT_EQ(mock::ioctl(group, VFIO_SET_IOMMU, u64{1234}), -ENODEV);
	type1.open_error = -EPERM;
	EXPECT_EQ(set_iommu(group), -EPERM);
	type1.open_error = 0;
	EXPECT_EQ(groups[0].dma_owner, nullptr);
	EXPECT_EQ(status(group), VFIO_GROUP_FLAGS_VIABLE);
	groups[0].kernel_driver = true;
	EXPECT_EQ(set_iommu(group), -EBUSY) << "not viable";
	groups[0].kernel_driver = false;
	ASSERT_EQ(set_container(group, container), 0);
	EXPECT_EQ(mock::ioctl(group, VFIO_SET_IOMMU, u64{1234}), -ENODEV);
	EXPECT_EQ(status(group), kIn) << "a container of its own is kept";
	EXPECT_EQ(set_iommu(group), 0);
	EXPECT_EQ(set_iommu(container), -EINVAL) << "it is the same";
	close_all({group, container});
}

TEST_F(CoreMerge, Refusals)
{
	Registered first(devices[0], ops), second(devices[1], ops), third(third_device, ops);
	int container, a;
	open_all(container, a, "5");
	const int b = group_fd("6"), c = group_fd("7"), other = mock::open_other();
	const int device = open_device(a, devices[0]);

	for (const int bad : {-1, 99})
		EXPECT_EQ(merge(a, bad), -EBADF);
	for (const int no_group : {a, container, device, other})
		EXPECT_EQ(merge(a, no_group), -EINVAL);
	EXPECT_EQ(request(VFIO_GROUP_MERGE, a, b, 0, 11), -EINVAL);
	EXPECT_EQ(request(VFIO_GROUP_MERGE, a, b, VFIO_GROUP_UNMERGE_NUMBER), -EINVAL);
	EXPECT_EQ(mock::ioctl(a, VFIO_GROUP_MERGE, u64{8}), -EFAULT);
	EXPECT_EQ(merge(b, a), -EBUSY) << "the other group is in use";
	groups[1].kernel_driver = true;
	EXPECT_EQ(merge(a, b), -EBUSY) << "not viable";
	groups[1].kernel_driver = false;
	type1.attach = [](iommu_group *) { return -EINVAL; };
	EXPECT_EQ(merge(a, b), -EINVAL) << "incompatible";
	type1.attach = nullptr;
	EXPECT_EQ(status(b), VFIO_GROUP_FLAGS_VIABLE);
	EXPECT_EQ(status(a), kIn);
	EXPECT_EQ(groups[1].dma_owner, nullptr);

	ASSERT_EQ(merge(a, b), 0);
	EXPECT_EQ(merge(a, b), -EBUSY) << "merged already";
	EXPECT_EQ(merge(b, a), -EBUSY);
	EXPECT_EQ(merge(c, a), -EBUSY) << "of a set";
	ASSERT_EQ(merge(b, c), 0) << "any member may take in";
	EXPECT_EQ(attached(), 3u);
	close_all({a, b, c, device, other, container});
}

TEST_F(CoreMerge, RefusedUnmerges)
{
	Registered first(devices[0], ops), second(devices[1], ops), third(third_device, ops);
	int container, a;
	open_all(container, a, "5");
	const int b = group_fd("6"), c = group_fd("7");

	EXPECT_EQ(unmerge(a, a), -EINVAL) << "no set";
	ASSERT_EQ(merge(a, b), 0);
	for (const int bad : {-1, 99})
		EXPECT_EQ(unmerge(a, bad), -EBADF);
	for (const int no_member : {c, container})
		EXPECT_EQ(unmerge(a, no_member), -EINVAL);
	EXPECT_EQ(unmerge(c, a), -EINVAL);
	for (const int number : {7, 0, -1})
		EXPECT_EQ(unmerge_number(a, number), -EINVAL);
	EXPECT_EQ(request(VFIO_GROUP_UNMERGE, a, b, 2), -EINVAL);
	EXPECT_EQ(request(VFIO_GROUP_UNMERGE, a, b, 0, 11), -EINVAL);
	const int device = open_device(a, devices[1]);
	EXPECT_EQ(unmerge(a, b), -EBUSY);
	EXPECT_EQ(unmerge_number(b, 6), -EBUSY);
	mock::close(device);
	EXPECT_EQ(unmerge_number(b, 6), 0) << "also itself";
	EXPECT_EQ(groups[1].dma_owner, nullptr);
	EXPECT_EQ(unmerge(a, b), -EINVAL);
	EXPECT_EQ(unmerge(a, a), -EINVAL) << "alone";
	close_all({a, b, c, container});
}

// Whoever made the latest mapping may merge; a set may be merged before anyone has mapped.
TEST_F(CoreMerge, AnotherProcess)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	mock::Process stranger;
	int container, a;
	open_all(container, a, "5");
	const int b = group_fd("6");

	type1.ioctl = [](u32 cmd, u64 arg) { return cmd == VFIO_IOMMU_MAP_DMA ? long(arg) : 0L; };
	{
		const mock::As as_stranger(&stranger);

		EXPECT_EQ(merge(a, b), 0) << "nothing is mapped";
		EXPECT_EQ(unmerge(a, b), 0);
	}
	ASSERT_EQ(mock::ioctl(container, VFIO_IOMMU_MAP_DMA, u64{0}), 0);
	{
		const mock::As as_stranger(&stranger);

		EXPECT_EQ(merge(a, b), -EPERM);
		EXPECT_EQ(mock::ioctl(a, VFIO_IOMMU_MAP_DMA, static_cast<u64>(-EINVAL)), -EINVAL);
		EXPECT_EQ(merge(a, b), -EPERM) << "it failed to map";
		EXPECT_EQ(mock::ioctl(a, VFIO_IOMMU_MAP_DMA, u64{0}), 0);
		EXPECT_EQ(merge(a, b), 0);
		EXPECT_EQ(unmerge(b, b), 0);
	}
	EXPECT_EQ(merge(a, b), -EPERM);
	close_all({a, b, container});
	EXPECT_EQ(stranger.mm.grabs, 0);
}

TEST_F(CoreMerge, AMemberStaysWithoutItsFile)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	const int a = group_fd("5");
	int b = group_fd("6");

	ASSERT_EQ(set_iommu(a), 0);
	ASSERT_EQ(merge(a, b), 0);
	mock::close(b);
	EXPECT_EQ(mock::open_group("6"), -EBUSY);
	EXPECT_EQ(attached(), 2u);
	const int device = open_device(a, devices[1]);
	ASSERT_GE(device, 0);
	EXPECT_EQ(unmerge_number(a, 6), -EBUSY);
	mock::close(device);
	EXPECT_EQ(unmerge_number(a, 6), 0);
	EXPECT_EQ(attached(), 1u);
	b = group_fd("6");
	EXPECT_EQ(status(b), VFIO_GROUP_FLAGS_VIABLE);
	ASSERT_EQ(merge(b, a), -EBUSY);
	close_all({a, b});
}

// A device of a group without a file keeps the set, and is the last to go.
TEST_F(CoreMerge, AllOrdersOfClosing)
{
	enum { kContainer, kFirstGroup, kSecondGroup, kFirst, kSecond, kUnregister, kCount };
	std::vector<int> order = {kContainer, kFirstGroup, kSecondGroup,
				  kFirst,     kSecond,	   kUnregister};

	do {
		Registered first(devices[0], ops), second(devices[1], ops);
		int container, a;
		open_all(container, a, "5");
		const int b = group_fd("6");
		ASSERT_EQ(merge(a, b), 0);
		// Each by the other's file.
		const int fds[] = {container, a, b, open_device(b, devices[0]),
				   open_device(a, devices[1])};
		std::thread unregister;

		for (const int what : order) {
			if (what == kUnregister) {
				unregister = std::thread([&] { second.unregister(); });
				continue;
			}
			EXPECT_EQ(mock::close(fds[what]), 0);
			if (opened != closed) {
				EXPECT_EQ(type1.opens, 1) << "a device is open";
			}
		}
		unregister.join();
		ASSERT_EQ(mock::live_files(), 0u);
		ASSERT_EQ(type1.opens, 0);
		ASSERT_EQ(opened, closed);
		for (const iommu_group &group : groups)
			ASSERT_EQ(group.dma_owner, nullptr);
		mock::close(group_fd("5"));
		if (HasFailure())
			break;
	} while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(CoreMerge, TheLastFileDissolvesTheSet)
{
	Registered first(devices[0], ops), second(devices[1], ops), third(third_device, ops);
	int a = group_fd("5"), b = group_fd("6"), c = group_fd("7");

	ASSERT_EQ(set_iommu(a), 0);
	ASSERT_EQ(merge(a, b), 0);
	ASSERT_EQ(merge(b, c), 0);
	const int device = open_device(a, devices[1]);
	close_all({a, b, c});
	EXPECT_EQ(attached(), 3u) << "the device keeps the set";
	mock::close(device);
	EXPECT_EQ(type1.opens, 0);
	for (const char *name : {"5", "6", "7"}) {
		const int fd = group_fd(name);

		EXPECT_EQ(status(fd), VFIO_GROUP_FLAGS_VIABLE) << name;
		mock::close(fd);
	}
}

// Who is taken out may have been the only one with a file.
TEST_F(CoreMerge, UnmergeOfTheLastFileDissolvesTheSet)
{
	Registered first(devices[0], ops), second(devices[1], ops), third(third_device, ops);
	const int a = group_fd("5"), b = group_fd("6"), c = group_fd("7");

	ASSERT_EQ(merge(a, b), 0);
	ASSERT_EQ(merge(a, c), 0);
	close_all({b, c});
	EXPECT_EQ(unmerge(a, a), 0);
	for (const char *name : {"6", "7"})
		mock::close(group_fd(name));
	EXPECT_EQ(status(a), VFIO_GROUP_FLAGS_VIABLE);
	mock::close(a);
}

TEST_F(CoreMerge, HotUnplugOfMembers)
{
	Registered first(devices[0], ops), second(devices[1], ops), third(third_device, ops);
	const int a = group_fd("5"), b = group_fd("6"), c = group_fd("7");

	ASSERT_EQ(set_iommu(a), 0);
	ASSERT_EQ(merge(a, b), 0);
	ASSERT_EQ(merge(a, c), 0);
	const int device = open_device(b, devices[0]);
	second.unregister();
	EXPECT_EQ(status(b), -ENODEV);
	EXPECT_EQ(attached(), 2u);
	EXPECT_EQ(merge(a, b), -ENODEV);
	EXPECT_EQ(merge(b, a), -ENODEV);
	EXPECT_EQ(set_iommu(b), -ENODEV);
	EXPECT_EQ(device_fd(b, devices[0].name), -ENODEV) << "it reaches the set no more";
	EXPECT_EQ(unmerge(a, b), -EINVAL);
	close_all({a, device});
	EXPECT_EQ(attached(), 2u);
	// The only file of the set is that of a group that goes.
	third.unregister();
	EXPECT_EQ(type1.opens, 0);
	mock::close(group_fd("5"));
	close_all({b, c});
}

TEST_F(CoreMerge, HardwareAndEmulatedAndNoIommu)
{
	::device mdev = {"mdev", nullptr, true}, bare = {"bare", nullptr, true};
	mock::noiommu_allowed = true;
	process.task.sys_rawio = true;
	Registered hardware(devices[0], ops), emulated(mdev, ops, true), noiommu_device(bare, ops);
	const int a = group_fd("5"), b = group_fd(std::to_string(mdev.group->id));
	const int c = group_fd("noiommu-" + std::to_string(bare.group->id));

	ASSERT_EQ(set_iommu(a), 0);
	ASSERT_EQ(merge(a, b), 0);
	EXPECT_EQ(merge(a, c), -EPERM);
	EXPECT_EQ(merge(c, a), -EBUSY);
	const int device = open_device(a, mdev);
	page *pages[1];
	EXPECT_EQ(vfio_core_device_pin(emulated->core, 0, 1, 3, pages), 1);
	vfio_core_device_unpin(emulated->core, 0, 1);
	mock::close(device);
	EXPECT_EQ(unmerge(a, a), 0) << "the emulated one keeps the container";
	EXPECT_EQ(type1.opens, 1);
	close_all({a, b, c});
}

TEST_F(CoreMerge, VirtualMachines)
{
	Registered first(devices[0], ops), second(devices[1], ops);
	kvm machine, another;
	const int a = group_fd("5"), b = group_fd("6");
	file *const file_a = mock::file_of(a), *const file_b = mock::file_of(b);

	ASSERT_EQ(set_iommu(a), 0);
	vfio_core_file_set_kvm(file_a, &machine);
	EXPECT_FALSE(vfio_core_file_has_dev(file_a, second->core));
	ASSERT_EQ(merge(a, b), 0);
	for (file *file : {file_a, file_b})
		for (Registered *device : {&first, &second})
			EXPECT_TRUE(vfio_core_file_has_dev(file, (*device)->core));
	EXPECT_TRUE(vfio_core_device_owns_file(first->core, file_a));
	EXPECT_FALSE(vfio_core_device_owns_file(first->core, file_b)) << "though merged";
	EXPECT_TRUE(vfio_core_file_enforced_coherent(file_b));
	int device = open_device(b, devices[1]);
	EXPECT_EQ(second->kvm_set, &machine) << "that of another member";
	mock::close(device);
	EXPECT_EQ(machine.refs, 1);
	vfio_core_file_set_kvm(file_b, &another);
	device = open_device(a, devices[1]);
	EXPECT_EQ(second->kvm_set, &another) << "its own goes first";
	mock::close(device);
	vfio_core_file_set_kvm(file_a, nullptr);
	vfio_core_file_set_kvm(file_b, nullptr);
	EXPECT_EQ(unmerge(a, b), 0);
	EXPECT_FALSE(vfio_core_file_has_dev(file_a, second->core));
	close_all({a, b});
}

TEST_F(CoreMerge, FailuresLeaveNothing)
{
	Registered first(devices[0], ops), second(devices[1], ops);

	for (const bool with_iommu : {false, true}) {
		const int a = group_fd("5"), b = group_fd("6");
		u64 failures = 0;

		if (with_iommu) {
			ASSERT_EQ(set_iommu(a), 0);
		}
		for (u64 nth = 1;; nth++) {
			mock::plan.reset();
			mock::plan.fail_nth(nth);
			const long ret = merge(a, b);
			const bool fired = mock::plan.fired();
			mock::plan.reset();
			EXPECT_EQ(ret == 0, !fired) << nth;
			if (!fired)
				break;
			failures++;
			EXPECT_EQ(status(a), with_iommu ? kIn : VFIO_GROUP_FLAGS_VIABLE);
			EXPECT_EQ(status(b), VFIO_GROUP_FLAGS_VIABLE);
			EXPECT_EQ(groups[1].dma_owner, nullptr);
		}
		mock::plan.fail_nth(2);
		EXPECT_EQ(unmerge(a, b), 0) << "reading the argument alone can fail";
		mock::plan.reset();
		printf("merge%s: %llu failure points\n", with_iommu ? ", with an IOMMU" : "",
		       failures);
		EXPECT_GE(failures, 3u);
		close_all({a, b});
	}
}

TEST_F(CoreMerge, FailuresOfSetIommuLeaveNothing)
{
	Registered device(devices[0], ops);
	const int group = group_fd("5");
	u64 failures = 0;

	for (u64 nth = 1;; nth++) {
		mock::plan.reset();
		mock::plan.fail_nth(nth);
		const long ret = set_iommu(group);
		const bool fired = mock::plan.fired();
		mock::plan.reset();
		if (!fired)
			break;
		failures++;
		// A driver whose module could not be had is asked once more.
		if (ret == 0) {
			EXPECT_EQ(unset(group), 0);
		}
		EXPECT_EQ(status(group), VFIO_GROUP_FLAGS_VIABLE);
		EXPECT_EQ(groups[0].dma_owner, nullptr);
	}
	EXPECT_GE(failures, 3u);
	mock::close(group);
}

} // namespace
