// SPDX-License-Identifier: GPL-2.0
//
// Devices behind an emulated IOMMU: pinning page by page, what is charged for
// it alone and beside hardware, unmaps that must be heard, dma_rw, and user
// addresses that are taken away and given back.
#include <chrono>
#include <thread>

#include "type1_container.hpp"

namespace {

constexpr u64 kTop = ~u64{0};

class Type1Emulated : public Type1Test {
protected:
	void SetUp() override
	{
		Type1Test::SetUp();
		ASSERT_EQ(c.attach(emulated, true), 0);
	}

	void TearDown() override
	{
		c.detach(emulated);
		c.close();
		Type1Test::TearDown();
	}

	Container c;
	iommu_group emulated;
};

TEST_F(Type1Emulated, PinsEachPageOnce)
{
	PinningDevice device(c, emulated);
	std::vector<u64> pfns;

	ASSERT_EQ(c.map(0x10000, uva(0), 16 * kPage), 0);
	EXPECT_EQ(locked(), 0u);
	ASSERT_EQ(c.pin(emulated, 0x12000, 3, &pfns), 3);
	EXPECT_EQ(pfns, (std::vector<u64>{kPfn + 2, kPfn + 3, kPfn + 4}));
	EXPECT_EQ(locked(), 3u);
	pfns.clear();
	ASSERT_EQ(c.pin(emulated, 0x13abc, 3, &pfns), 3) << "any address of a page will do";
	EXPECT_EQ(pfns, (std::vector<u64>{kPfn + 3, kPfn + 4, kPfn + 5}));
	EXPECT_EQ(locked(), 4u) << "charged once";
	EXPECT_EQ(mock::phys::pins(kPfn + 3), 1u) << "and pinned once";
	c.unpin(0x12000, 3);
	EXPECT_EQ(locked(), 3u);
	c.unpin(0x13fff, 3);
	EXPECT_EQ(locked(), 0u);
	EXPECT_TRUE(mock::phys::take_dirty(kPfn + 5));
	c.unpin(0x13000, 1);
	EXPECT_EQ(locked(), 0u) << "an unpin too many does nothing";
}

// A driver does not know of what it has pinned before the call returns, so cannot unpin it.
TEST_F(Type1Emulated, AnUnmapWaitsForACallThatHasPinnedSomeOfTheMapping)
{
	PinningDevice device(c, emulated);
	std::atomic<bool> done = false;
	std::thread user;
	u32 pins = 0;
	s64 unmapped = 0;

	ASSERT_EQ(c.map(0x10000, uva(0), 2 * kPage), 0);
	ASSERT_EQ(c.map(0x12000, uva(2), 2 * kPage), 0);
	mock::on_pin = [&] {
		if (++pins != 2)
			return;
		user = std::thread([&] {
			const mock::As as(&process);

			unmapped = c.unmap(0x10000, 2 * kPage);
			done = true;
		});
		std::this_thread::sleep_for(std::chrono::milliseconds(50));
		EXPECT_FALSE(done);
	};
	EXPECT_EQ(c.pin(emulated, 0x11000, 4), -EINVAL) << "the last page is in no mapping";
	mock::on_pin = nullptr;
	user.join();
	EXPECT_EQ(unmapped, static_cast<s64>(2 * kPage));
	EXPECT_EQ(locked(), 0u);
}

TEST_F(Type1Emulated, BadPins)
{
	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage, kRead), 0);
	EXPECT_EQ(c.pin(emulated, 0x10000, 1, nullptr, SHIM_IOMMU_READ), -EINVAL)
		<< "nobody would hear of an unmap";

	PinningDevice device(c, emulated);
	EXPECT_EQ(c.pin(emulated, 0x10000, 1), -EPERM);
	EXPECT_EQ(c.pin(emulated, 0xf000, 1, nullptr, SHIM_IOMMU_READ), -EINVAL);
	EXPECT_EQ(c.pin(emulated, 0x12000, 3, nullptr, SHIM_IOMMU_READ), -EINVAL) << "past it";
	EXPECT_EQ(mock::phys::all_pins(), 0u) << "all or nothing";
	EXPECT_EQ(c.pin(emulated, kTop, 2, nullptr, SHIM_IOMMU_READ), -EOVERFLOW);
	ASSERT_EQ(c.map(0x20000, uva(kPages), kPage), 0);
	EXPECT_EQ(c.pin(emulated, 0x20000, 1), -EFAULT);
	process.mm.map(0x7000'0000, 1, mock::kDevicePfn, true, mock::Kind::kBar);
	ASSERT_EQ(c.map(0x30000, 0x7000'0000, kPage), 0);
	EXPECT_EQ(c.pin(emulated, 0x30000, 1), -EINVAL) << "there is no struct page to give";
	process.task.rlimit_pages = 1;
	EXPECT_EQ(c.pin(emulated, 0x10000, 2, nullptr, SHIM_IOMMU_READ), -ENOMEM);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(device.pin(0x10000, 1, SHIM_IOMMU_READ), 1);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(6 * kPage));

	expect_warning("unpin outside any mapping");
	c.unpin(0x10000, 1);
	Container v1(VFIO_TYPE1_IOMMU);
	EXPECT_EQ(v1.pin(emulated, 0, 1), -EACCES);
}

TEST_F(Type1Emulated, UnmapIsHeard)
{
	PinningDevice device(c, emulated);

	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x14000, uva(4), 4 * kPage), 0);
	ASSERT_EQ(device.pin(0x10000, 4), 4);
	ASSERT_EQ(device.pin(0x10000, 1), 1);
	ASSERT_EQ(device.pin(0x16000, 1), 1);
	EXPECT_EQ(c.unmap(0x10000, 8 * kPage), static_cast<s64>(8 * kPage));
	EXPECT_EQ(device.device.unmaps_heard, 2u);
	EXPECT_TRUE(device.pinned.empty());
	EXPECT_EQ(locked(), 0u);
}

TEST_F(Type1Emulated, DeviceThatNeverUnpins)
{
	vfio_device deaf;

	deaf.dma_unmap = [](u64, u64) {};
	c.add_device(deaf);
	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x20000, uva(4), 4 * kPage), 0);
	ASSERT_EQ(c.pin(emulated, 0x10000, 1), 1);
	ASSERT_EQ(c.pin(emulated, 0x20000, 1), 1);
	deaf.dma_unmap = [&](u64 iova, u64) {
		if (iova == 0x10000)
			c.unpin(0x10000, 1);
		EXPECT_EQ(c.pin(emulated, iova + kPage, 1), -EINVAL) << "it is leaving";
	};
	expect_warning("a device does not unpin what is unmapped");
	EXPECT_EQ(c.unmap_all(), -EBUSY) << "given up, not forever";
	EXPECT_EQ(deaf.unmaps_heard, 11u);
	EXPECT_EQ(mock::phys::all_pins(), 1u) << "what the device may use stays";
	for (const u64 iova : {0x10000, 0x20000}) {
		ASSERT_EQ(c.pin(emulated, iova + kPage, 1), 1) << "it is not leaving any more";
		c.unpin(iova + kPage, 1);
	}
	c.unpin(0x20000, 1);
	c.remove_device(deaf);
	EXPECT_EQ(c.unmap(0x20000, 4 * kPage), static_cast<s64>(4 * kPage));
}

TEST_F(Type1Emulated, DeviceThatNeverUnpinsAndGoes)
{
	vfio_device deaf;

	deaf.dma_unmap = [](u64, u64) {};
	c.add_device(deaf);
	ASSERT_EQ(c.map(0x20000, uva(4), 4 * kPage), 0);
	ASSERT_EQ(c.pin(emulated, 0x20000, 2), 2);
	c.remove_device(deaf);
	expect_warning("mapping freed while pinned by a device");
	c.detach(emulated);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(locked(), 0u);
	ASSERT_EQ(c.attach(emulated, true), 0);
}

TEST_F(Type1Emulated, DeviceWithoutUnmapIsNoListener)
{
	vfio_device silent;

	c.add_device(silent);
	ASSERT_EQ(c.map(0, uva(0), kPage), 0);
	EXPECT_EQ(c.pin(emulated, 0, 1), -EINVAL);
	c.remove_device(silent);
}

TEST_F(Type1Emulated, UnmapWhileTheMappingIsReplaced)
{
	// A device whose dma_unmap runs while others use the container.
	vfio_device device;

	device.dma_unmap = [&](u64 iova, u64) {
		c.unpin(iova, 1);
		EXPECT_EQ(c.map(0x40000, uva(9), kPage), 0);
	};
	c.add_device(device);
	ASSERT_EQ(c.map(0x10000, uva(0), kPage), 0);
	ASSERT_EQ(c.pin(emulated, 0x10000, 1), 1);
	EXPECT_EQ(c.unmap(0, 0x20000), static_cast<s64>(kPage));
	EXPECT_EQ(c.unmap(0x40000, kPage), static_cast<s64>(kPage));
	c.remove_device(device);
}

TEST_F(Type1Emulated, BesideHardwareNothingIsChargedTwice)
{
	PinningDevice device(c, emulated);
	iommu_group group(&hardware);

	ASSERT_EQ(c.map(0x10000, uva(0), 8 * kPage), 0);
	ASSERT_EQ(device.pin(0x11000, 2), 2);
	EXPECT_EQ(locked(), 2u);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(locked(), 8u);
	EXPECT_EQ(mock::phys::pins(kPfn + 1), 2u);
	ASSERT_EQ(device.pin(0x15000, 2), 2);
	EXPECT_EQ(locked(), 8u);
	device.unpin(0x11000, 1);
	EXPECT_EQ(locked(), 8u);
	c.detach(group);
	EXPECT_EQ(locked(), 3u);
	EXPECT_EQ(mock::phys::all_pins(), 3u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(8 * kPage));
}

TEST_F(Type1Emulated, RlimitBesideHardware)
{
	PinningDevice device(c, emulated);
	iommu_group group(&hardware);

	process.task.rlimit_pages = 8;
	ASSERT_EQ(c.map(0x10000, uva(0), 8 * kPage), 0);
	ASSERT_EQ(device.pin(0x10000, 8), 8);
	ASSERT_EQ(c.attach(group), 0) << "its pages are charged already";
	EXPECT_EQ(locked(), 8u);
	c.detach(group);
	EXPECT_EQ(locked(), 8u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(8 * kPage));
}

// What is behind an address may change after a device pinned it: fewer pages
// that count are found than are charged.
TEST_F(Type1Emulated, MemoryReplacedUnderAPin)
{
	PinningDevice device(c, emulated);
	iommu_group group(&hardware);

	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	ASSERT_EQ(device.pin(0x10000, 4), 4);
	process.mm.map(uva(0), 4, mock::kDevicePfn, true, mock::Kind::kBar);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(ptes(group.domain).at(0x10000), mock::kDevicePfn);
	EXPECT_EQ(mock::phys::all_pins(), 4u);
	device.unpin_all();
	c.detach(group);
	EXPECT_EQ(locked(), 0u);
	ASSERT_EQ(device.pin(0x10000, 1), -EINVAL);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
}

// And more, when what did not count was replaced before it was pinned.
TEST_F(Type1Emulated, MemoryReplacedUnderAMapping)
{
	PinningDevice device(c, emulated);
	iommu_group group(&hardware);

	process.task.rlimit_pages = 2;
	process.mm.map(uva(0), 4, mock::kDevicePfn, true, mock::Kind::kBar);
	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	EXPECT_EQ(locked(), 0u);
	process.mm.map(uva(0), 4, kPfn);
	ASSERT_EQ(device.pin(0x10000, 1), 1);
	ASSERT_EQ(device.pin(0x11000, 3), 3);
	EXPECT_EQ(locked(), 0u);
	c.detach(group);
	EXPECT_EQ(locked(), 4u) << "over the limit, as they are pinned";
	EXPECT_EQ(mock::phys::all_pins(), 4u);
	device.unpin(0x10000, 1);
	EXPECT_EQ(locked(), 3u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
	EXPECT_EQ(locked(), 0u);
}

// What could not be charged then is not uncharged later.
TEST_F(Type1Emulated, MemoryReplacedUnderAMappingByOneWhoIsKilled)
{
	PinningDevice device(c, emulated);
	iommu_group group(&hardware);

	process.mm.map(uva(0), 4, mock::kDevicePfn, true, mock::Kind::kBar);
	ASSERT_EQ(c.attach(group), 0);
	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	process.mm.map(uva(0), 4, kPfn);
	ASSERT_EQ(device.pin(0x10000, 4), 4);
	process.task.fatal_signal = true;
	c.detach(group);
	process.task.fatal_signal = false;
	EXPECT_EQ(locked(), 0u);
	device.unpin(0x10000, 1);
	device.unpin(0x11000, 3);
	EXPECT_EQ(locked(), 0u);
	ASSERT_EQ(device.pin(0x12000, 2), 2);
	EXPECT_EQ(locked(), 2u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
	EXPECT_EQ(locked(), 0u);
}

// Page by page: what is charged for one does not pay for another.
TEST_F(Type1Emulated, MemoryPartlyReplacedUnderAPin)
{
	PinningDevice device(c, emulated);
	iommu_group group(&hardware);

	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	ASSERT_EQ(device.pin(0x10000, 2), 2);
	process.mm.map(uva(0), 2, 0x200, true, mock::Kind::kReserved);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(locked(), 4u) << "two that the device holds, two that are new";
	device.unpin_all();
	c.detach(group);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
}

// Pages one by one that lie anywhere, so that the index has a word for each:
// what is behind the end of a mapping is not the mapping's, though the words go
// on there.
TEST_F(Type1Emulated, OnePageBehindTheEndOfAMapping)
{
	constexpr u64 kLow = 300, kHigh = 100;
	constexpr u64 kUva = 0x7000'0000, kGap = 8;
	const auto pfn_of = [](u64 page) { return 0x4000 + page * 37 % 1024; };
	PinningDevice device(c, emulated);

	// Two mappings that touch, and nothing behind them.
	for (u64 page = 0; page < kLow + kGap + kHigh; page++)
		process.mm.map(kUva + page * kPage, 1, pfn_of(page));
	ASSERT_EQ(c.map(0, kUva, kLow * kPage), 0);
	ASSERT_EQ(c.map(kLow * kPage, kUva + (kLow + kGap) * kPage, kHigh * kPage), 0);
	for (u64 page = 0; page < kLow; page++)
		ASSERT_EQ(c.pin(emulated, page * kPage, 1), 1);
	for (int times = 0; times < 2; times++) {
		for (u64 page : {u64{0}, kLow - 1, kLow, kLow + 1, u64{7}, kLow + kHigh - 1}) {
			std::vector<u64> pfns;

			ASSERT_EQ(c.pin(emulated, page * kPage, 1, &pfns), 1) << page;
			EXPECT_EQ(pfns[0], pfn_of(page < kLow ? page : page + kGap)) << page;
			ASSERT_EQ(c.pin(emulated, (kLow + kHigh) * kPage, 1), -EINVAL);
			ASSERT_EQ(c.pin(emulated, u64{0} - kPage, 1), -EINVAL);
		}
	}
	EXPECT_EQ(mock::phys::all_pins(), kLow + 3);
	EXPECT_EQ(locked(), kLow + 3);

	for (u64 page = 0; page < kLow + kHigh; page++)
		for (int times = 0; times < 3; times++)
			c.unpin(page * kPage, 1);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>((kLow + kHigh) * kPage));
}

// So many pages at random, in mappings of which some touch, against a plain
// count of each.
TEST_F(Type1Emulated, OnePageAtRandom)
{
	constexpr u64 kUva = 0x7000'0000, kPages = 1600;
	struct Mapping {
		u64 first, npages;
	};
	// In a slot, over its end, to the end of one, behind a hole, read-only.
	constexpr Mapping kMappings[] = {
		{0, 300}, {300, 500}, {800, 224}, {1100, 100}, {1200, 400}};
	std::mt19937_64 rng = random("one page");
	PinningDevice device(c, emulated);
	std::map<u64, u64> counts;
	const auto pfn_of = [](u64 page) { return 0x4000 + page * 1021 % 4096; };
	const auto readable = [&](u64 page) {
		return page < 1024 || (page >= 1100 && page < kPages);
	};

	for (u64 page = 0; page < kPages; page++)
		process.mm.map(kUva + page * kPage, 1, pfn_of(page));
	for (const Mapping &mapping : kMappings)
		ASSERT_EQ(c.map(mapping.first * kPage, kUva + mapping.first * kPage,
				mapping.npages * kPage,
				mapping.first == 1200 ? kRead : kRead | kWrite),
			  0);
	// It fills, is thinned out, and fills again.
	for (int step = 0; step < 60'000 && !HasFailure(); step++) {
		const u64 page = rng() % (kPages + 50);
		const u64 iova = page * kPage + rng() % kPage;
		const bool write = rng() % 2;

		if (rng() % 8 < (step / 10'000 % 2 ? 6 : 2)) {
			if (!readable(page))
				continue;
			c.unpin(iova, 1);
			if (const auto at = counts.find(page);
			    at != counts.end() && --at->second == 0)
				counts.erase(at);
		} else {
			std::vector<u64> pfns;
			const int expected = !readable(page)	   ? -EINVAL :
					     write && page >= 1200 ? -EPERM :
								     1;

			ASSERT_EQ(c.pin(emulated, iova, 1, &pfns,
					SHIM_IOMMU_READ | (write ? SHIM_IOMMU_WRITE : 0)),
				  expected)
				<< page;
			if (expected == 1) {
				ASSERT_EQ(pfns[0], pfn_of(page)) << page;
				counts[page]++;
			}
		}
		if (step % 512 == 0) {
			ASSERT_EQ(mock::phys::all_pins(), counts.size());
			ASSERT_EQ(locked(), counts.size());
		}
	}
	for (const auto &[page, count] : counts)
		for (u64 i = 0; i < count; i++)
			c.unpin(page * kPage, 1);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(1524 * kPage));
}

TEST_F(Type1Emulated, ReservedPagesAreNotCharged)
{
	PinningDevice device(c, emulated);

	process.mm.map(0x7000'0000, 2, 0x200, true, mock::Kind::kReserved);
	ASSERT_EQ(c.map(0, 0x7000'0000, 2 * kPage), 0);
	ASSERT_EQ(device.pin(0, 2), 2);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(mock::phys::all_pins(), 2u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(2 * kPage));
}

TEST_F(Type1Emulated, LastAddress)
{
	PinningDevice device(c, emulated);
	constexpr u64 kAt = kTop - 2 * kPage + 1;
	std::vector<u64> pfns;

	ASSERT_EQ(c.map(kAt, uva(0), 2 * kPage), 0);
	EXPECT_EQ(c.map(kAt + kPage, uva(0), kPage), -EEXIST);
	ASSERT_EQ(device.pin(kAt, 2), 2);
	ASSERT_EQ(c.pin(emulated, kTop, 1, &pfns), 1);
	EXPECT_EQ(pfns, std::vector<u64>{kPfn + 1});
	c.unpin(kTop, 1);
	u8 bytes[16] = {1, 2, 3};
	EXPECT_EQ(c.rw(kTop - 15, bytes, 16, true), 0);
	EXPECT_EQ(mock::phys::contents(kPfn + 1)[kPage - 16], 1);
	EXPECT_EQ(c.rw(kTop - 14, bytes, 16, true), -EINVAL) << "past the last address";
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(2 * kPage));
}

TEST_F(Type1Emulated, DmaRw)
{
	std::vector<u8> out(3 * kPage), in(3 * kPage);
	for (size_t i = 0; i < out.size(); i++)
		out[i] = static_cast<u8>(i * 7 + i / 256);

	ASSERT_EQ(c.map(0x10000, uva(0), 2 * kPage), 0);
	ASSERT_EQ(c.map(0x12000, uva(100), 2 * kPage), 0);
	EXPECT_EQ(c.rw(0x10800, out.data(), out.size(), true), 0) << "across two mappings";
	EXPECT_EQ(c.rw(0x10800, in.data(), in.size(), false), 0);
	EXPECT_EQ(in, out);
	EXPECT_EQ(mock::phys::contents(kPfn + 100)[0], out[0x1800]);
	EXPECT_EQ(c.rw(0x13fff, in.data(), 1, false), 0);
	EXPECT_EQ(c.rw(0x13fff, in.data(), 2, false), -EINVAL);
	EXPECT_EQ(c.rw(0xffff, in.data(), 2, false), -EINVAL);
	EXPECT_EQ(c.rw(0x10000, in.data(), 0, false), 0);
	EXPECT_EQ(mock::phys::all_pins(), 0u);

	// A kthread works in the owner's memory; another process may not.
	{
		const mock::As kthread(nullptr);
		EXPECT_EQ(c.rw(0x10800, in.data(), in.size(), false), 0);
		EXPECT_EQ(in, out);
	}
	mock::Process stranger;
	{
		const mock::As as_stranger(&stranger);
		EXPECT_EQ(c.rw(0x10800, in.data(), 8, false), -EFAULT);
	}
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));

	ASSERT_EQ(c.map(0, uva(0), kPage, kRead), 0);
	ASSERT_EQ(c.map(0x1000, uva(1), kPage, kWrite), 0);
	ASSERT_EQ(c.map(0x2000, uva(kPages), kPage), 0);
	EXPECT_EQ(c.rw(0, in.data(), 8, true), -EPERM);
	EXPECT_EQ(c.rw(0x2000, in.data(), 8, true), -EFAULT);
	EXPECT_EQ(c.rw(0, in.data(), 8, false), 0);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(3 * kPage));
}

TEST_F(Type1Emulated, ProcessGone)
{
	PinningDevice device(c, emulated);
	mock::Process child;
	u8 byte = 0;

	child.mm.map(kUva, 8, 0x700);
	{
		const mock::As as_child(&child);
		ASSERT_EQ(c.map(0, kUva, 8 * kPage), 0);
		ASSERT_EQ(device.pin(0, 2), 2);
		EXPECT_EQ(child.mm.locked_vm, 2u);
	}
	child.exit();
	EXPECT_EQ(c.pin(emulated, 0x3000, 1), -ENODEV);
	EXPECT_EQ(c.rw(0, &byte, 1, false), -EPERM);
	{
		// Nothing to attach to, and no state left behind.
		iommu_group group(&hardware);
		EXPECT_EQ(c.attach(group), -ENODEV);
	}
	device.unpin(0, 1);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(8 * kPage));
}

} // namespace
