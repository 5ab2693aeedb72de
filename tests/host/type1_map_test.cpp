// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_MAP_DMA and UNMAP_DMA: requests good and bad, v1's and v2's
// semantics, limits, several domains, ranges at the last address.
#include "type1_container.hpp"

namespace {

constexpr u64 kTop = ~u64{0};

class Type1Map : public Type1Test {
protected:
	// A container with one hardware group.
	struct Attached : Container {
		explicit Attached(mock::Hardware &hardware, u64 extension = VFIO_TYPE1v2_IOMMU)
			: Container(extension), group(&hardware)
		{
			EXPECT_EQ(attach(group), 0);
		}

		~Attached()
		{
			if (get())
				detach(group);
			close();
		}

		const iommu_domain &domain() const
		{
			return *group.domain;
		}

		iommu_group group;
	};
};

TEST_F(Type1Map, MapsPinsAndCharges)
{
	Attached c(hardware);

	ASSERT_EQ(c.map(0x100000, uva(3), 4 * kPage, kRead), 0);
	EXPECT_EQ(ptes(&c.domain()), (std::map<u64, u64>{{0x100000, kPfn + 3},
							 {0x101000, kPfn + 4},
							 {0x102000, kPfn + 5},
							 {0x103000, kPfn + 6}}));
	EXPECT_EQ(c.domain().maps, 1u) << "contiguous memory in one piece";
	for (const auto &[iova, pte] : c.domain().ptes)
		EXPECT_EQ(pte.prot, u32{SHIM_IOMMU_READ | SHIM_IOMMU_CACHE});
	EXPECT_EQ(mock::phys::all_pins(), 4u);
	EXPECT_EQ(locked(), 4u);

	EXPECT_EQ(c.unmap(0x100000, 4 * kPage), static_cast<s64>(4 * kPage));
	EXPECT_TRUE(c.domain().ptes.empty());
	EXPECT_EQ(c.domain().unmaps, 1u) << "one flush a mapping";
	EXPECT_EQ(locked(), 0u);
	EXPECT_FALSE(mock::phys::take_dirty(kPfn + 3)) << "read-only memory is not dirtied";
}

TEST_F(Type1Map, WrittenPagesAreMarkedDirty)
{
	Attached c(hardware);

	ASSERT_EQ(c.map(0, uva(0), kPage, kWrite), 0);
	EXPECT_EQ(c.domain().ptes.at(0).prot, u32{SHIM_IOMMU_WRITE | SHIM_IOMMU_CACHE});
	EXPECT_EQ(c.unmap(0, kPage), static_cast<s64>(kPage));
	EXPECT_TRUE(mock::phys::take_dirty(kPfn));
}

TEST_F(Type1Map, DisableHugepages)
{
	Attached c(hardware);

	mock::type1_params.disable_hugepages = true;
	ASSERT_EQ(c.map(0, uva(0), 8 * kPage), 0);
	EXPECT_EQ(c.domain().maps, 8u);
	mock::type1_params.disable_hugepages = false;
	EXPECT_EQ(c.unmap(0, 8 * kPage), static_cast<s64>(8 * kPage));
}

// A call for each page takes a while, in which others may run.
TEST_F(Type1Map, DisableHugepagesLetsOthersRun)
{
	constexpr u64 kPages = 1000;
	Attached c(hardware);

	mock::type1_params.disable_hugepages = true;
	const u64 before = mock::rescheds;
	ASSERT_EQ(c.map(0, uva(0), kPages * kPage), 0);
	mock::type1_params.disable_hugepages = false;
	EXPECT_EQ(c.domain().maps, kPages);
	EXPECT_GE(mock::rescheds - before, kPages);
	EXPECT_EQ(c.unmap(0, kPages * kPage), static_cast<s64>(kPages * kPage));
}

TEST_F(Type1Map, BadRequests)
{
	Attached c(hardware);
	const auto rejects = [&](long error, u64 iova, u64 at, u64 size, u32 flags = kReadWrite) {
		EXPECT_EQ(c.map(iova, at, size, flags), -error)
			<< std::hex << iova << " " << at << " " << size << " " << flags;
	};

	rejects(EINVAL, 0, uva(0), 0);
	rejects(EINVAL, 1, uva(0), kPage);
	rejects(EINVAL, 0x800, uva(0), kPage);
	rejects(EINVAL, 0, uva(0) + 1, kPage);
	rejects(EINVAL, 0, uva(0), kPage + 1);
	rejects(EINVAL, 0, uva(0), kPage - 1);
	rejects(EINVAL, 0, uva(0), kPage, 0);
	rejects(EINVAL, 0, uva(0), kPage, 8 | kReadWrite);
	rejects(EINVAL, 0, uva(0), kPage, 1u << 31 | kReadWrite);
	rejects(EINVAL, 0, uva(0), kPage, kRead | VFIO_DMA_MAP_FLAG_VADDR);
	rejects(ENOENT, 0, uva(0), kPage, VFIO_DMA_MAP_FLAG_VADDR);
	rejects(EOVERFLOW, kTop - kPage + 1, uva(0), 2 * kPage);
	rejects(EOVERFLOW, kPage, uva(0), kTop - kPage + 1);
	rejects(EOVERFLOW, 0, kTop - kPage + 1, 2 * kPage);
	rejects(EINVAL, u64{1} << 48, uva(0), kPage);
	rejects(EINVAL, (u64{1} << 48) - kPage, uva(0), 2 * kPage);
	rejects(EFAULT, 0, uva(kPages), kPage);
	rejects(EFAULT, 0, uva(kPages - 1), 2 * kPage);

	ASSERT_EQ(c.map(0x10000, uva(0), 2 * kPage), 0);
	rejects(EEXIST, 0x10000, uva(0), 2 * kPage);
	rejects(EEXIST, 0x11000, uva(0), kPage);
	rejects(EEXIST, 0xf000, uva(0), 2 * kPage);
	rejects(EEXIST, 0xf000, uva(0), 8 * kPage);
	EXPECT_EQ(ptes(&c.domain()).size(), 2u);
	EXPECT_EQ(locked(), 2u);
	EXPECT_EQ(mock::phys::all_pins(), 2u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(2 * kPage));
}

TEST_F(Type1Map, ArgszAndFaults)
{
	Attached c(hardware);
	vfio_iommu_type1_dma_map map = {sizeof(map) - 1, kReadWrite, uva(0), 0, kPage};

	EXPECT_EQ(c.ioctl(VFIO_IOMMU_MAP_DMA, &map, sizeof(map)), -EINVAL);
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_MAP_DMA, &map, sizeof(map) - 1), -EFAULT);
	map.argsz = 1 << 20;
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_MAP_DMA, &map, sizeof(map)), 0) << "more than is known";

	vfio_iommu_type1_dma_unmap unmap = {};
	unmap.argsz = sizeof(unmap) - 1;
	unmap.size = kPage;
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap)), -EINVAL);
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap) - 1), -EFAULT);
	unmap.argsz = sizeof(unmap);
	mock::plan.fail(mock::Fail::kCopyOut);
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_UNMAP_DMA, &unmap, sizeof(unmap)), -EFAULT);
	EXPECT_EQ(c.ioctl(VFIO_IOMMU_MAP_DMA, nullptr, 0), -EFAULT);
	EXPECT_EQ(type1_ioctl(c.get(), 0x1234, 0), -ENOTTY);
	EXPECT_EQ(type1_ioctl(c.get(), VFIO_IOMMU_ENABLE, 0), -ENOTTY);
}

TEST_F(Type1Map, ReadOnlyMemory)
{
	Attached c(hardware);

	process.mm.map(0x5000'0000, 4, 0x500, false);
	EXPECT_EQ(c.map(0, 0x5000'0000, 4 * kPage, kReadWrite), -EFAULT);
	EXPECT_EQ(c.map(0, 0x5000'0000, 4 * kPage, kWrite), -EFAULT);
	ASSERT_EQ(c.map(0, 0x5000'0000, 4 * kPage, kRead), 0);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
}

TEST_F(Type1Map, RlimitExactlyAndOneOver)
{
	Attached c(hardware);

	process.task.rlimit_pages = 10;
	EXPECT_EQ(c.map(0, uva(0), 11 * kPage), -ENOMEM);
	EXPECT_EQ(locked(), 0u);
	ASSERT_EQ(c.map(0, uva(0), 10 * kPage), 0);
	EXPECT_EQ(locked(), 10u);
	EXPECT_EQ(c.map(0x100000, uva(0), kPage), -ENOMEM);
	process.task.ipc_lock = true;
	EXPECT_EQ(c.map(0x100000, uva(0), kPage), 0) << "CAP_IPC_LOCK";
	EXPECT_EQ(locked(), 11u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(11 * kPage));
}

TEST_F(Type1Map, RlimitReachedInALaterBatch)
{
	Attached c(hardware);

	process.task.rlimit_pages = 1000;
	process.mm.pin_batch = 100;
	EXPECT_EQ(c.map(0, uva(0), 1001 * kPage), -ENOMEM);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(c.map(0, uva(0), 1000 * kPage), 0);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(1000 * kPage));
}

TEST_F(Type1Map, EntryLimit)
{
	mock::type1_params.dma_entry_limit = 2;
	Attached c(hardware);

	EXPECT_EQ(get_info(c).avail, 2u);
	ASSERT_EQ(c.map(0, uva(0), kPage), 0);
	ASSERT_EQ(c.map(kPage, uva(1), kPage), 0);
	EXPECT_EQ(get_info(c).avail, 0u);
	EXPECT_EQ(c.map(2 * kPage, uva(2), kPage), -ENOSPC);
	EXPECT_EQ(c.unmap(0, kPage), static_cast<s64>(kPage));
	EXPECT_EQ(c.map(2 * kPage, uva(2), kPage), 0);
	mock::type1_params.dma_entry_limit = 100;
	EXPECT_EQ(c.map(3 * kPage, uva(2), kPage), -ENOSPC) << "the limit is the container's own";
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(2 * kPage));
	EXPECT_EQ(get_info(c).avail, 2u);
}

TEST_F(Type1Map, UnmapV2NeverSplits)
{
	Attached c(hardware);

	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x14000, uva(4), 4 * kPage), 0);
	EXPECT_EQ(c.unmap(0x11000, 3 * kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0x10000, 3 * kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0x10000, 7 * kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0xf000, 2 * kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0x12000, 0x1000), -EINVAL);
	EXPECT_EQ(c.unmap(0x20000, 0x1000), 0) << "nothing there";
	EXPECT_EQ(c.domain().ptes.size(), 8u);
	EXPECT_EQ(c.unmap(0xe000, 0x10000), static_cast<s64>(8 * kPage));
}

TEST_F(Type1Map, UnmapV1)
{
	Attached c(hardware, VFIO_TYPE1_IOMMU);

	ASSERT_EQ(c.map(0x10000, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x14000, uva(4), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x18000, uva(8), 4 * kPage), 0);
	EXPECT_EQ(c.unmap(0x11000, 16 * kPage), 0) << "begins inside a mapping";
	EXPECT_EQ(c.domain().ptes.size(), 12u);
	EXPECT_EQ(c.unmap(0x10000, kPage), static_cast<s64>(4 * kPage)) << "goes whole";
	EXPECT_EQ(c.unmap(0xf000, 6 * kPage), static_cast<s64>(4 * kPage));
	EXPECT_EQ(c.domain().ptes.size(), 4u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(4 * kPage));
}

TEST_F(Type1Map, BadUnmaps)
{
	Attached c(hardware);

	ASSERT_EQ(c.map(0, uva(0), 2 * kPage), 0);
	EXPECT_EQ(c.unmap(0, 0), -EINVAL);
	EXPECT_EQ(c.unmap(1, kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0, kPage + 1), -EINVAL);
	EXPECT_EQ(c.unmap(2 * kPage, kTop - kPage + 1), -EOVERFLOW);
	EXPECT_EQ(c.unmap(kTop - kPage + 1, 2 * kPage), -EOVERFLOW);
	EXPECT_EQ(c.unmap(0, 2 * kPage, 8), -EINVAL);
	EXPECT_EQ(c.unmap(kPage, 0, VFIO_DMA_UNMAP_FLAG_ALL), -EINVAL);
	EXPECT_EQ(c.unmap(0, kPage, VFIO_DMA_UNMAP_FLAG_ALL), -EINVAL);
	EXPECT_EQ(c.unmap(0, 2 * kPage, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP), -EINVAL)
		<< "argsz has no room for a bitmap";
	EXPECT_EQ(c.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP),
		  -EINVAL);
	EXPECT_EQ(
		c.unmap(0, kPage, VFIO_DMA_UNMAP_FLAG_VADDR | VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP),
		-EINVAL);
	EXPECT_EQ(c.domain().ptes.size(), 2u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(2 * kPage));
	EXPECT_EQ(c.unmap_all(), 0);
}

TEST_F(Type1Map, LastAddress)
{
	mock::Hardware wide;
	wide.aperture_last = kTop;
	Attached c(wide);

	ASSERT_EQ(c.map(kTop - kPage + 1, uva(0), kPage), 0);
	ASSERT_EQ(c.map(0, uva(1), kPage), 0);
	EXPECT_EQ(c.map(kTop - kPage + 1, uva(0), kPage), -EEXIST);
	EXPECT_EQ(c.domain().ptes.size(), 2u);
	EXPECT_EQ(c.unmap(kTop - kPage + 1, kPage), static_cast<s64>(kPage));
	ASSERT_EQ(c.map(kTop - 3 * kPage + 1, uva(0), 3 * kPage), 0);
	EXPECT_EQ(c.unmap(kTop - 2 * kPage + 1, 2 * kPage), -EINVAL);
	// As QEMU does: two halves.
	EXPECT_EQ(c.unmap(0, u64{1} << 63), static_cast<s64>(kPage));
	EXPECT_EQ(c.unmap(u64{1} << 63, u64{1} << 63), static_cast<s64>(3 * kPage));

	ASSERT_EQ(c.map(kTop - kPage + 1, uva(0), kPage), 0);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kPage));
}

TEST_F(Type1Map, WithoutGroupsNothingIsPinned)
{
	Container c;

	// Nor need the memory be there.
	ASSERT_EQ(c.map(0, 0x1000, u64{1} << 40), 0);
	ASSERT_EQ(c.map(u64{1} << 63, 0, u64{1} << 63), 0) << "up to the last address";
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(c.unmap(u64{1} << 63, u64{1} << 63), static_cast<s64>(u64{1} << 63));
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(u64{1} << 40));
}

TEST_F(Type1Map, KindsOfMemoryMixed)
{
	Attached c(hardware);
	constexpr u64 kAt = 0x7000'0000;

	process.mm.map(kAt, 2, 0x100);
	process.mm.map(kAt + 2 * kPage, 3, 7, true, mock::Kind::kReserved, 0);
	process.mm.map(kAt + 5 * kPage, 2, 0x200, true, mock::Kind::kReserved);
	process.mm.map(kAt + 7 * kPage, 4, mock::kDevicePfn + 5, true, mock::Kind::kBar);
	process.mm.map(kAt + 11 * kPage, 3, 0x900, true, mock::Kind::kOrdinary, 2);
	ASSERT_EQ(c.map(0, kAt, 14 * kPage, kRead), 0);

	const std::map<u64, u64> expected = {
		{0x0000, 0x100},
		{0x1000, 0x101},
		{0x2000, 7},
		{0x3000, 7},
		{0x4000, 7},
		{0x5000, 0x200},
		{0x6000, 0x201},
		{0x7000, mock::kDevicePfn + 5},
		{0x8000, mock::kDevicePfn + 6},
		{0x9000, mock::kDevicePfn + 7},
		{0xa000, mock::kDevicePfn + 8},
		{0xb000, 0x900},
		{0xc000, 0x902},
		{0xd000, 0x904},
	};
	EXPECT_EQ(ptes(&c.domain()), expected);
	EXPECT_EQ(locked(), 5u) << "ordinary pages only";
	EXPECT_EQ(mock::phys::pins(7), 3u) << "one page at three addresses";
	EXPECT_EQ(mock::phys::all_pins(), 10u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(14 * kPage));
}

// A BAR is looked up a GiB at a time, and begins anew where it is not in one
// piece.
TEST_F(Type1Map, LargeBar)
{
	constexpr u64 kGiB = (u64{1} << 30) / kPage;
	constexpr u64 kAt = 0x7000'0000;
	Attached c(hardware);

	process.mm.map(kAt, 1, 0x100);
	process.mm.map(kAt + kPage, kGiB + 7, mock::kDevicePfn + 3, true, mock::Kind::kBar);
	process.mm.map(kAt + (kGiB + 8) * kPage, 2, mock::kDevicePfn, true, mock::Kind::kBar);
	process.mm.map(kAt + (kGiB + 10) * kPage, 1, 0x200);
	ASSERT_EQ(c.map(0, kAt, (kGiB + 11) * kPage), 0);
	EXPECT_EQ(process.mm.follows, 3u);
	EXPECT_EQ(locked(), 2u);

	const auto all = ptes(&c.domain());
	EXPECT_EQ(all.size(), kGiB + 11);
	EXPECT_EQ(all.at(0), 0x100u);
	EXPECT_EQ(all.at(kPage), mock::kDevicePfn + 3);
	EXPECT_EQ(all.at((kGiB + 7) * kPage), mock::kDevicePfn + kGiB + 9);
	EXPECT_EQ(all.at((kGiB + 8) * kPage), mock::kDevicePfn);
	EXPECT_EQ(all.at((kGiB + 9) * kPage), mock::kDevicePfn + 1);
	EXPECT_EQ(all.at((kGiB + 10) * kPage), 0x200u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>((kGiB + 11) * kPage));

	process.mm.map(kAt + 5 * kPage, 1, mock::kDevicePfn + 7, false, mock::Kind::kBar);
	EXPECT_EQ(c.map(0, kAt, (kGiB + 11) * kPage), -EFAULT) << "a page of it is read-only";
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(locked(), 0u);
}

TEST_F(Type1Map, MemoryWithoutStructPagesThatHasThem)
{
	Attached c(hardware);

	process.mm.map(0x7000'0000, 1, 0x100, true, mock::Kind::kRamMap);
	EXPECT_EQ(c.map(0, 0x7000'0000, kPage), -EFAULT);
}

TEST_F(Type1Map, BatchesOfOneWhenMemoryIsShort)
{
	Attached c(hardware);
	auto map = [&] { return c.map(0, uva(0), 5 * kPage); };

	// The batch's page comes after the range itself and its owner.
	mock::plan.fail(mock::Fail::kAlloc, 3);
	ASSERT_EQ(map(), 0);
	EXPECT_TRUE(mock::plan.fired());
	EXPECT_EQ(c.domain().ptes.size(), 5u);
	EXPECT_EQ(c.domain().maps, 1u);
	EXPECT_EQ(locked(), 5u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(5 * kPage));
}

TEST_F(Type1Map, PartialPins)
{
	Attached c(hardware);

	process.mm.pin_batch = 3;
	ASSERT_EQ(c.map(0, uva(0), 1000 * kPage), 0);
	EXPECT_EQ(c.domain().maps, 1u);
	EXPECT_EQ(locked(), 1000u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(1000 * kPage));
}

TEST_F(Type1Map, DisjointIommusHoldTheSame)
{
	mock::Hardware second;
	second.driver = 2;
	Attached c(hardware);
	iommu_group other(&second);

	ASSERT_EQ(c.map(0, uva(0), 2 * kPage), 0);
	ASSERT_EQ(c.attach(other), 0);
	ASSERT_EQ(c.map(0x10000, uva(8), 3 * kPage), 0);
	ASSERT_NE(other.domain, c.group.domain);
	EXPECT_EQ(ptes(other.domain), ptes(c.group.domain));
	EXPECT_EQ(ptes(other.domain).size(), 5u);
	EXPECT_EQ(locked(), 5u) << "pinned once";

	// Rolled back from both.
	mock::plan.fail(mock::Fail::kDomainMap, 2);
	EXPECT_EQ(c.map(0x20000, uva(16), kPage), -ENOMEM);
	EXPECT_EQ(ptes(other.domain), ptes(c.group.domain));
	EXPECT_EQ(ptes(other.domain).size(), 5u);
	EXPECT_EQ(locked(), 5u);

	EXPECT_EQ(c.unmap(0, 2 * kPage), static_cast<s64>(2 * kPage));
	EXPECT_EQ(ptes(other.domain), ptes(c.group.domain));
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(3 * kPage));
	c.detach(other);
}

TEST_F(Type1Map, ProcessGone)
{
	Attached c(hardware);
	mock::Process child;

	child.mm.map(kUva, 8, 0x700);
	{
		const mock::As as_child(&child);
		ASSERT_EQ(c.map(0, kUva, 8 * kPage), 0);
		EXPECT_EQ(child.mm.locked_vm, 8u);
	}
	EXPECT_EQ(locked(), 0u) << "charged to who mapped";
	child.exit();
	EXPECT_EQ(c.domain().ptes.size(), 8u) << "still there for the device";
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(8 * kPage));
	EXPECT_EQ(mock::phys::all_pins(), 0u);
}

TEST_F(Type1Map, ReleasedWithAllInIt)
{
	{
		mock::Hardware second;
		second.driver = 2;
		Attached c(hardware);
		iommu_group other(&second);
		iommu_group emulated;

		ASSERT_EQ(c.attach(other), 0);
		ASSERT_EQ(c.attach(emulated, true), 0);
		ASSERT_EQ(c.map(0, uva(0), 100 * kPage), 0);
		ASSERT_EQ(c.start_dirty(), 0);
		c.close();
		EXPECT_EQ(c.group.domain, nullptr);
	}
	EXPECT_EQ(mock::domain_count(), 0u);
}

} // namespace
