// SPDX-License-Identifier: GPL-2.0
//
// What is done through a device's file: pass-through, features, migration
// state, DMA logging and its bitmaps; pinning and dma_rw; what KVM asks.
#include <algorithm>
#include <bit>
#include <functional>
#include <optional>

#include "core_world.hpp"

namespace {

constexpr u64 kTop = ~u64{0};
// A big-endian machine's core refuses bitmaps that are not aligned to 8 bytes.
constexpr bool kBigEndian = std::endian::native == std::endian::big;

class CoreDevice : public CoreTest {
protected:
	void SetUp() override
	{
		CoreTest::SetUp();
		ops.has |= SHIM_DEVICE_FEATURE | SHIM_DEVICE_MIGRATION | SHIM_DEVICE_LOGGING;
		ops.feature = [](u32 flags, u64, size_t size) {
			return static_cast<int>((flags & 0xffff) + size);
		};
		ops.log_start = [this](const std::vector<shim_log_range> &given, u64 *size) {
			ranges = given;
			*size = log_page_size ? log_page_size : *size;
			return log_start_error;
		};
		ops.log_stop = [this] {
			stops++;
			return 0;
		};
		ops.log_read = [this](u64 iova, u64 size, iova_bitmap *bitmap) {
			reads.emplace_back(iova, iova + (size - 1));
			return log_read ? log_read(iova, size, bitmap) : 0;
		};
		ops.get_state = [](u32 *state) {
			*state = VFIO_DEVICE_STATE_RUNNING;
			return 0;
		};
		device.emplace(devices[0], ops);
		open_all(container, group, "5");
		fd = static_cast<int>(device_fd(group, devices[0].name));
		ASSERT_GE(fd, 0);
		process.mm.map(kUva, 4096, 0x5000);
	}

	void TearDown() override
	{
		mock::close(fd);
		mock::close(group);
		mock::close(container);
		device.reset();
		CoreTest::TearDown();
	}

	static constexpr u64 kUva = 0x4000'0000;

	long start(u64 page_size, const std::vector<std::pair<u64, u64>> &asked, u32 count = ~0u)
	{
		const vfio_device_feature_dma_logging_control control = {
			.page_size = page_size,
			.num_ranges = count == ~0u ? static_cast<u32>(asked.size()) : count,
			.__reserved = 0,
			.ranges = reinterpret_cast<u64>(asked.data())};
		std::vector<u8> data(sizeof(control));
		const mock::UserWindow window(asked.data(), asked.size() * 16);

		memcpy(data.data(), &control, sizeof(control));
		const long ret = feature(
			fd, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data);
		memcpy(&told_page_size, data.data(), 8);
		return ret;
	}

	long report(u64 iova, u64 length, u64 page_size, u64 bitmap)
	{
		const u64 words[] = {iova, length, page_size, bitmap};
		std::vector<u8> data(sizeof(words));

		memcpy(data.data(), words, sizeof(words));
		reads.clear();
		return feature(fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
			       data);
	}

	// A bit of the bitmap at a user address: of its u64, not of its byte.
	bool bit(u64 uva, u64 n)
	{
		mock::Page page;
		const u64 at = uva + (kBigEndian ? n / 8 ^ 7 : n / 8);

		EXPECT_TRUE(process.mm.find(at & ~(kPage - 1), page));
		return mock::phys::contents(page.pfn)[at % kPage] >> n % 8 & 1;
	}

	void wipe(u64 npages)
	{
		for (u64 i = 0; i < npages; i++)
			memset(mock::phys::contents(0x5000 + i), 0, kPage);
	}

	std::optional<Registered> device;
	int container, group, fd;
	std::vector<shim_log_range> ranges;
	std::vector<std::pair<u64, u64>> reads;
	std::function<int(u64 iova, u64 size, iova_bitmap *bitmap)> log_read;
	u64 log_page_size = 0, told_page_size = 0, stops = 0;
	int log_start_error = 0;
};

TEST_F(CoreDevice, PassThrough)
{
	vfio_core_device_file *file = mock::file_of(fd)->device_file;
	s64 position = 100;

	EXPECT_EQ(mock::ioctl(fd, 7, u64{8}), 15);
	EXPECT_EQ(vfio_core_device_file_read(file, 0, 4, &position), 4);
	EXPECT_EQ(vfio_core_device_file_write(file, 0, 4, &position), 8);
	EXPECT_EQ(position, 108);
	EXPECT_EQ(vfio_core_device_file_mmap(file, nullptr), -EINVAL) << "the driver has none";
}

TEST_F(CoreDevice, FeatureRules)
{
	std::vector<u8> data(8);
	constexpr u32 kOwn = 1000;

	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kOwn, data), static_cast<long>(kOwn + 8));
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | kOwn, data),
		  -EINVAL);
	EXPECT_EQ(feature(fd, 1u << 25 | kOwn, data), -EINVAL);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kOwn, data, 7), -EINVAL);
	EXPECT_EQ(mock::ioctl(fd, VFIO_DEVICE_FEATURE, u64{8}), -EFAULT);

	constexpr u32 kProbe = VFIO_DEVICE_FEATURE_PROBE;
	EXPECT_EQ(
		feature(fd, kProbe | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, data),
		0);
	EXPECT_EQ(
		feature(fd, kProbe | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIGRATION, data),
		-EINVAL);
	EXPECT_EQ(feature(fd, kProbe | VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data), 0);
	EXPECT_EQ(
		feature(fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data),
		-EINVAL);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_MIGRATION, data), -EINVAL) << "neither";

	(*device)->migration_flags = VFIO_MIGRATION_STOP_COPY;
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, data), 0);
	u64 flags = 0;
	memcpy(&flags, data.data(), sizeof(flags));
	EXPECT_EQ(flags, u64{VFIO_MIGRATION_STOP_COPY});
	data.resize(7);
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIGRATION, data),
		  -EINVAL);
}

TEST_F(CoreDevice, FeaturesThatADeviceHasNot)
{
	vfio_device_ops plain = ops;
	plain.has = 0;
	Registered bare(devices[1], plain);
	const int other = group_fd("6");
	ASSERT_EQ(set_container(other, container), 0);
	const int bare_fd = static_cast<int>(device_fd(other, devices[1].name));
	std::vector<u8> data(64);

	ASSERT_GE(bare_fd, 0);
	for (const u32 id : {0u, 1u, 2u, 6u, 7u, 8u, 100u})
		for (const u32 mode :
		     {VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET, VFIO_DEVICE_FEATURE_PROBE})
			EXPECT_EQ(feature(bare_fd, mode | id, data), -ENOTTY) << id;
	EXPECT_EQ(mock::ioctl(bare_fd, 7, u64{0}), -EINVAL);
	vfio_core_device_file *file = mock::file_of(bare_fd)->device_file;
	s64 position = 0;
	EXPECT_EQ(vfio_core_device_file_read(file, 0, 1, &position), -EINVAL);
	EXPECT_EQ(vfio_core_device_file_write(file, 0, 1, &position), -EINVAL);
	mock::close(bare_fd);
	mock::close(other);
}

TEST_F(CoreDevice, MigrationState)
{
	std::vector<u8> data(8);
	constexpr u32 kState = VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
	const auto word = [&](int n) {
		u32 value;
		memcpy(&value, data.data() + 4 * n, 4);
		return value;
	};
	const auto set = [&](u32 state) {
		memcpy(data.data(), &state, 4);
		memset(data.data() + 4, 0, 4);
		return feature(fd, VFIO_DEVICE_FEATURE_SET | kState, data);
	};
	file *given = nullptr;
	int error = 0;

	ops.set_state = [&](u32 state, file **made) {
		EXPECT_EQ(state, 3u);
		*made = given;
		return error;
	};
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_GET | kState, data), 0);
	EXPECT_EQ(word(0), u32{VFIO_DEVICE_STATE_RUNNING});
	EXPECT_EQ(word(1), ~0u);

	EXPECT_EQ(set(3), 0);
	EXPECT_EQ(word(1), ~0u) << "no data flows";
	error = -EBUSY;
	EXPECT_EQ(set(3), -EBUSY);
	EXPECT_EQ(word(1), ~0u);
	error = 0;

	// A file becomes a descriptor; on any failure it is dropped.
	const auto fresh = [&] {
		const int temporary = mock::open_other();
		given = mock::file_of(temporary);
		given->refs++;
		mock::close(temporary);
	};
	fresh();
	EXPECT_EQ(set(3), 0);
	EXPECT_EQ(mock::file_of(static_cast<int>(word(1))), given);
	EXPECT_EQ(mock::close(static_cast<int>(word(1))), 0);
	const u64 files = mock::live_files(), descriptors = mock::open_descriptors();
	fresh();
	mock::plan.fail(mock::Fail::kFd);
	EXPECT_EQ(set(3), -EMFILE);
	EXPECT_EQ(mock::live_files(), files);
	fresh();
	mock::plan.fail(mock::Fail::kCopyOut);
	EXPECT_EQ(set(3), -EFAULT);
	EXPECT_EQ(mock::live_files(), files);
	EXPECT_EQ(mock::open_descriptors(), descriptors);
}

TEST_F(CoreDevice, LoggingStart)
{
	using Pairs = std::vector<std::pair<u64, u64>>;

	log_page_size = 0x2000;
	ASSERT_EQ(start(0x1000, {{0x10000, 0x4000}, {0x20000, 0x1000}}), 0);
	ASSERT_EQ(ranges.size(), 2u);
	EXPECT_EQ(ranges[0].first, 0x10000u);
	EXPECT_EQ(ranges[0].last, 0x13fffu);
	EXPECT_EQ(told_page_size, 0x2000u) << "the driver's word";
	EXPECT_EQ(start(0x1000, {{kTop - 0xfff, 0x1000}}), 0);
	EXPECT_EQ(ranges[0].last, kTop);
	for (const u64 bad : {u64{0}, u64{3}, u64{0x1001}, u64{0x3000}, kTop})
		EXPECT_EQ(start(bad, {{0x10000, 0x4000}}), -EINVAL) << bad;
	EXPECT_EQ(start(0x1000, {{0x10800, 0x1000}}), -EINVAL);
	EXPECT_EQ(start(0x1000, {{0x10000, 0x800}}), -EINVAL);
	EXPECT_EQ(start(0x1000, {{0x10000, 0}}), -EINVAL);
	EXPECT_EQ(start(0x1000, {{kTop - 0xfff, 0x2000}}), -EOVERFLOW);
	EXPECT_EQ(start(0x1000, {{0x10000, 0x4000}, {0x13000, 0x1000}}), -EINVAL) << "overlap";
	EXPECT_EQ(start(0x1000, {{0x13000, 0x1000}, {0x10000, 0x4000}}), -EINVAL);
	EXPECT_EQ(start(0x1000, {{0x10000, 0x4000}, {0x14000, 0x1000}}), 0) << "adjacent";
	EXPECT_EQ(start(0x1000, {}), -EINVAL);
	EXPECT_EQ(start(0x1000, Pairs{{0, 0x1000}}, 2), -EFAULT);
	EXPECT_EQ(start(0x1000, Pairs{{0, 0x1000}}, 257), -E2BIG);
	Pairs most;
	for (u64 i = 0; i < 256; i++)
		most.emplace_back(i * 0x10000, 0x1000);
	EXPECT_EQ(start(0x1000, most), 0);
	EXPECT_EQ(ranges.size(), 256u);
	log_start_error = -EBUSY;
	EXPECT_EQ(start(0x1000, {{0, 0x1000}}), -EBUSY);
	log_start_error = 0;
	EXPECT_EQ(stops, 0u);
	mock::plan.fail(mock::Fail::kCopyOut);
	EXPECT_EQ(start(0x1000, {{0, 0x1000}}), -EFAULT);
	EXPECT_EQ(stops, 1u) << "what userspace does not hear of does not run";
	std::vector<u8> none;
	EXPECT_EQ(feature(fd, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, none),
		  0);
	EXPECT_EQ(stops, 2u);
}

TEST_F(CoreDevice, ReportErrors)
{
	EXPECT_EQ(report(0, 0x1000, 0x800, kUva), -EINVAL);
	EXPECT_EQ(report(0, 0x1000, 0, kUva), -EINVAL);
	EXPECT_EQ(report(0, 0x1000, 0x3000, kUva), -EINVAL);
	EXPECT_EQ(report(0, 0, 0x1000, kUva), -EINVAL);
	EXPECT_EQ(report(kTop, 2, 0x1000, kUva), -EOVERFLOW);
	EXPECT_EQ(report(0, 0x1000, 0x1000, 0x1000), -EFAULT);
	EXPECT_EQ(report(0, 0x1000, 0x1000, kTop - 7), -EFAULT);
	EXPECT_EQ(report(0, 0x1000, 0x1000, kTop - 4), kBigEndian ? -EINVAL : -EFAULT);
	EXPECT_TRUE(reads.empty());
	log_read = [](u64, u64, iova_bitmap *) { return -EIO; };
	EXPECT_EQ(report(0, 0x1000, 0x1000, kUva), -EIO);
	log_read = nullptr;
	for (u64 nth = 1; nth <= 2; nth++) {
		mock::plan.fail(mock::Fail::kAlloc, nth);
		EXPECT_EQ(report(0, 0x1000, 0x1000, kUva), -ENOMEM);
	}
	EXPECT_EQ(report(kTop, 1, 0x1000, kUva), 0);
	EXPECT_EQ(reads, (std::vector<std::pair<u64, u64>>{{kTop, kTop}}));
}

// Any range, page size and place of the bitmap; the driver marks at random,
// also across and outside of what it was asked.
TEST_F(CoreDevice, BitmapAgainstAModel)
{
	std::mt19937_64 rng = random("BitmapAgainstAModel");

	for (int round = 0; round < 600; round++) {
		const u64 shift = 12 + rng() % 10;
		const u64 npages = 1 + rng() % (round % 8 ? 300 : 300'000);
		const u64 offset = !kBigEndian && rng() % 3 ? rng() % kPage : rng() % 512 * 8;
		const u64 bitmap = kUva + offset;
		const u64 length = (npages << shift) - (rng() % 4 ? 0 : rng() % (u64{1} << shift));
		u64 iova = rng() % 3 ? (rng() >> 12 << 12) : rng();
		if (rng() % 4 == 0 || kTop - iova < length - 1)
			iova = kTop - length + 1;
		const u64 last = iova + (length - 1);
		std::vector<bool> model(npages);
		u64 expected_next = iova;
		std::vector<std::pair<u64, u64>> marks;

		process.mm.pin_batch = rng() % 4 ? kTop : 1 + rng() % 3;
		wipe(16);
		log_read = [&](u64 first, u64 size, iova_bitmap *handle) {
			const u64 window_last = first + (size - 1);

			EXPECT_EQ(first, expected_next);
			EXPECT_LE(window_last, last);
			expected_next = window_last + 1;
			for (u64 i = rng() % 20; i > 0; i--) {
				const u64 at = first + rng() % size;
				u64 n = 1 + rng() % (rng() % 8 ? 3ull << shift : size + 5000);
				// Past the last address means to it.
				vfio_core_iova_bitmap_set(handle, at, n);
				const u64 end = kTop - at < n - 1 ? kTop : at + (n - 1);
				for (u64 page = (at - iova) >> shift;
				     page <= (std::min(end, last) - iova) >> shift; page++)
					model[page] = true;
			}
			vfio_core_iova_bitmap_set(handle, first, 0);
			return 0;
		};
		ASSERT_EQ(report(iova, length, u64{1} << shift, bitmap), 0);
		ASSERT_EQ(expected_next, last + 1);
		for (u64 page = 0; page < npages; page++)
			ASSERT_EQ(bit(bitmap, page), model[page])
				<< "round " << round << " page " << page << " of " << npages
				<< " shift " << shift << " offset " << offset;
		// Nothing but the bitmap was written.
		for (u64 n = 0; n < 64 && npages + n < (16 * kPage - offset) * 8; n++)
			ASSERT_FALSE(bit(bitmap, npages + n));
		for (u64 n = 0; n < offset * 8; n += 1 + rng() % 8)
			ASSERT_FALSE(bit(kUva, n));
		ASSERT_EQ(mock::phys::all_pins(), 0u);
		if (HasFailure())
			break;
	}
}

TEST_F(CoreDevice, SeveralWindows)
{
	// A window holds 512 pages of bitmap: 2^24 pages of IOVAs.
	constexpr u64 kWindow = (u64{512} * kPage * 8) << 12;
	constexpr u64 kLength = 2 * kWindow + 5 * kPage;

	log_read = [&](u64 first, u64, iova_bitmap *bitmap) {
		vfio_core_iova_bitmap_set(bitmap, first, 1);
		// Reaches over the end of the window into the next.
		if (first == 0)
			vfio_core_iova_bitmap_set(bitmap, kWindow - kPage, 3 * kPage);
		return 0;
	};
	ASSERT_EQ(report(0, kLength, kPage, kUva), 0);
	EXPECT_EQ(reads, (std::vector<std::pair<u64, u64>>{{0, kWindow - 1},
							   {kWindow, 2 * kWindow - 1},
							   {2 * kWindow, kLength - 1}}));
	constexpr u64 kBits = kWindow / kPage;
	for (const u64 set : {u64{0}, kBits - 1, kBits, kBits + 1, 2 * kBits})
		EXPECT_TRUE(bit(kUva, set)) << set;
	for (const u64 clear : {u64{1}, kBits - 2, kBits + 2, 2 * kBits - 1, 2 * kBits + 1})
		EXPECT_FALSE(bit(kUva, clear)) << clear;

	// The second window's memory is not there.
	process.mm.unmap(kUva + 512 * kPage, 1);
	EXPECT_EQ(report(0, kLength, kPage, kUva), -EFAULT);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
}

TEST_F(CoreDevice, MarksOutsideAreIgnored)
{
	log_read = [](u64, u64, iova_bitmap *bitmap) {
		vfio_core_iova_bitmap_set(bitmap, 0, 0x10000);
		vfio_core_iova_bitmap_set(bitmap, 0x20000, 0x1000);
		vfio_core_iova_bitmap_set(bitmap, 0x14000, kTop);
		vfio_core_iova_bitmap_set(bitmap, kTop, 1);
		return 0;
	};
	wipe(1);
	ASSERT_EQ(report(0x10000, 0x5000, 0x1000, kUva), 0);
	for (u64 n = 0; n < 64; n++)
		EXPECT_EQ(bit(kUva, n), n == 4) << n;
}

TEST_F(CoreDevice, PinAndRw)
{
	vfio_core_device *core = (*device)->core;
	std::vector<page *> pages(513);
	u8 byte = 0;

	EXPECT_EQ(vfio_core_device_pin(core, 0x5000, 2, 3, pages.data()), 2);
	EXPECT_EQ(mock::pfn_of(pages[1]), 6u);
	EXPECT_EQ(vfio_core_device_pin(core, 0, 512, 3, pages.data()), 512);
	EXPECT_EQ(vfio_core_device_pin(core, 0, 513, 3, pages.data()), -E2BIG);
	EXPECT_EQ(vfio_core_device_pin(core, 0, -1, 3, pages.data()), -E2BIG);
	EXPECT_EQ(vfio_core_device_pin(core, 0, 0, 3, pages.data()), -EINVAL);
	EXPECT_EQ(vfio_core_device_pin(core, 0, 1, 3, nullptr), -EINVAL);
	vfio_core_device_unpin(core, 0, 2);
	expect_warning("unpin of an impossible count");
	vfio_core_device_unpin(core, 0, 0);
	EXPECT_EQ(vfio_core_device_dma_rw(core, kPage, &byte, 1, true), 0);
	EXPECT_EQ(vfio_core_device_dma_rw(core, 0, &byte, 1, true), -EFAULT);
	EXPECT_EQ(vfio_core_device_dma_rw(core, kPage, &byte, 0, true), -EINVAL);
	EXPECT_EQ(vfio_core_device_dma_rw(core, kPage, nullptr, 1, true), -EINVAL);

	Registered shut(devices[1], ops);
	expect_warning("use of a device that is not open");
	EXPECT_EQ(vfio_core_device_pin(shut->core, 0, 1, 3, pages.data()), -EINVAL);
	EXPECT_EQ(vfio_core_device_dma_rw(shut->core, kPage, &byte, 1, true), -EINVAL);
	vfio_core_device_unpin(shut->core, 0, 1);
}

// Kernels from 6.2 on know of each device whether its DMA always snoops caches.
TEST_F(CoreDevice, CoherencyIsThatOfAllDevices)
{
	::device sibling = {"0000:00:05.1", &groups[0], true};
	Registered second(sibling, ops);
	file *group_file = mock::file_of(group), *device_file = mock::file_of(fd);

	type1.dma_cc = 0;
	devices[0].enforces_coherency = sibling.enforces_coherency = 1;
	for (file *file : {group_file, device_file})
		EXPECT_TRUE(vfio_core_file_enforced_coherent(file))
			<< "whatever the container says";
	type1.dma_cc = 1;
	sibling.enforces_coherency = 0;
	for (file *file : {group_file, device_file})
		EXPECT_FALSE(vfio_core_file_enforced_coherent(file));

	mock::close(fd);
	ASSERT_EQ(mock::ioctl(group, VFIO_GROUP_UNSET_CONTAINER, u64{0}), 0);
	EXPECT_FALSE(vfio_core_file_enforced_coherent(group_file)) << "KVM may ask before";
	sibling.enforces_coherency = 1;
	EXPECT_TRUE(vfio_core_file_enforced_coherent(group_file));
}

TEST_F(CoreDevice, WhatKvmAsks)
{
	file *group_file = mock::file_of(group), *other = mock::file_of(container);
	kvm a_machine, *machine = &a_machine;
	Registered stranger(devices[1], ops);

	EXPECT_TRUE(vfio_core_file_is_group(group_file));
	EXPECT_FALSE(vfio_core_file_is_group(other));
	iommu_group *kernel_group = vfio_core_file_iommu_group(group_file);
	EXPECT_EQ(kernel_group, &groups[0]);
	kernel_group->refs--;
	EXPECT_EQ(vfio_core_file_iommu_group(other), nullptr);
	EXPECT_TRUE(vfio_core_file_enforced_coherent(group_file));
	type1.dma_cc = 0;
	EXPECT_FALSE(vfio_core_file_enforced_coherent(group_file));
	EXPECT_TRUE(vfio_core_file_enforced_coherent(other)) << "not ours to say";
	EXPECT_FALSE(vfio_core_file_enforced_coherent(mock::file_of(fd)));
	EXPECT_TRUE(vfio_core_file_has_dev(group_file, (*device)->core));
	EXPECT_FALSE(vfio_core_file_has_dev(group_file, stranger->core));
	EXPECT_FALSE(vfio_core_file_has_dev(other, (*device)->core));
	EXPECT_FALSE(vfio_core_file_has_dev(mock::file_of(fd), (*device)->core));
	EXPECT_TRUE(vfio_core_device_owns_file((*device)->core, group_file));
	EXPECT_TRUE(vfio_core_device_owns_file((*device)->core, mock::file_of(fd)));
	EXPECT_FALSE(vfio_core_device_owns_file((*device)->core, other));
	EXPECT_FALSE(vfio_core_device_owns_file(stranger->core, group_file));
	EXPECT_FALSE(vfio_core_device_owns_file(stranger->core, mock::file_of(fd)));

	// An open device keeps the machine it was opened with.
	vfio_core_file_set_kvm(group_file, machine);
	vfio_core_file_set_kvm(other, machine);
	EXPECT_EQ((*device)->kvm_set, nullptr);
	mock::close(fd);
	fd = static_cast<int>(device_fd(group, devices[0].name));
	EXPECT_EQ((*device)->kvm_set, machine);
	vfio_core_file_set_kvm(group_file, nullptr);
	EXPECT_EQ((*device)->kvm_set, machine);
	mock::close(fd);
	EXPECT_EQ((*device)->kvm_set, nullptr);
	EXPECT_EQ(machine->refs, 1);
	fd = static_cast<int>(device_fd(group, devices[0].name));
}

TEST_F(CoreDevice, PowerManagement)
{
	vfio_device_ops sleepy = ops;
	sleepy.has |= SHIM_DEVICE_PM;
	Registered other(devices[1], sleepy);
	const int other_group = group_fd("6");
	ASSERT_EQ(set_container(other_group, container), 0);
	const int other_fd = static_cast<int>(device_fd(other_group, devices[1].name));

	sleepy.ioctl = [&](u32, u64) { return other->awake * 10; };
	EXPECT_EQ(mock::ioctl(other_fd, 1, u64{0}), 10);
	EXPECT_EQ(other->awake, 0);
	mock::plan.fail(mock::Fail::kDevice);
	EXPECT_EQ(mock::ioctl(other_fd, 1, u64{0}), -EIO);
	EXPECT_EQ(other->awake, 0);
	mock::close(other_fd);
	mock::close(other_group);
}

} // namespace
