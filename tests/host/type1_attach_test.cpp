// SPDX-License-Identifier: GPL-2.0
//
// Groups that join and leave a container: sharing of domains, replay,
// reserved regions, apertures, interrupts, extensions, GET_INFO.
#include "type1_container.hpp"

namespace {

constexpr u64 kTop = ~u64{0};

class Type1Attach : public Type1Test {
protected:
	static Info info_of(Container &c)
	{
		Info info = get_info(c);

		EXPECT_EQ(info.ret, 0);
		EXPECT_TRUE(info.avail);
		EXPECT_TRUE(info.migration);
		return info;
	}
};

TEST_F(Type1Attach, Types)
{
	type1 *made = nullptr;

	EXPECT_EQ(type1_open(VFIO_SPAPR_TCE_IOMMU, &made), -EINVAL);
	EXPECT_EQ(type1_open(0, &made), -EINVAL);
	EXPECT_EQ(type1_open(kTop, &made), -EINVAL);
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(type1_open(VFIO_TYPE1v2_IOMMU, &made), -ENOMEM);
	const Container v1(VFIO_TYPE1_IOMMU), v2(VFIO_TYPE1v2_IOMMU),
		nesting(VFIO_TYPE1_NESTING_IOMMU);
}

TEST_F(Type1Attach, Extensions)
{
	Container c;
	mock::Hardware lax;
	lax.coherent = false;
	lax.family = 2;
	iommu_group group(&hardware), loose(&lax), emulated;

	for (u64 extension :
	     {VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU, VFIO_UNMAP_ALL}) {
		// There is no IOMMU behind the container yet.
		EXPECT_EQ(c.extension(extension), extension != VFIO_TYPE1_NESTING_IOMMU)
			<< extension;
		EXPECT_EQ(type1_ioctl(nullptr, VFIO_CHECK_EXTENSION, extension), 1) << extension;
	}
	for (u64 extension : {u64{0}, u64{VFIO_SPAPR_TCE_IOMMU}, u64{VFIO_EEH}, kTop})
		EXPECT_EQ(c.extension(extension), 0) << extension;
	EXPECT_EQ(type1_ioctl(nullptr, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU), 0);
	EXPECT_EQ(type1_ioctl(nullptr, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR), 0);

	ASSERT_EQ(c.attach(group), 0);
	EXPECT_TRUE(group.domain->enforces_coherency);
	EXPECT_EQ(c.extension(VFIO_DMA_CC_IOMMU), 1);
	EXPECT_EQ(c.extension(VFIO_UPDATE_VADDR), 1);
	ASSERT_EQ(c.attach(loose), 0);
	EXPECT_EQ(c.extension(VFIO_DMA_CC_IOMMU), 0);
	ASSERT_EQ(c.attach(emulated, true), 0);
	EXPECT_EQ(c.extension(VFIO_UPDATE_VADDR), 0);
	c.detach(emulated);
	EXPECT_EQ(c.extension(VFIO_UPDATE_VADDR), 1);
	c.detach(loose);
	EXPECT_EQ(c.extension(VFIO_DMA_CC_IOMMU), 1);
	c.detach(group);
}

TEST_F(Type1Attach, SharesADomainWhereItCan)
{
	Container c;
	iommu_group first(&hardware, 1), second(&hardware, 2);

	ASSERT_EQ(c.attach(first), 0);
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.attach(second), 0);
	EXPECT_EQ(first.domain, second.domain);
	EXPECT_EQ(mock::domain_count(), 1u);
	EXPECT_EQ(first.domain->maps, 1u) << "nothing is replayed";
	EXPECT_EQ(c.attach(second), -EINVAL) << "twice";
	EXPECT_EQ(c.attach(second, true), -EINVAL);

	iommu_domain *domain = nullptr;
	EXPECT_EQ(type1_group_domain(c.get(), &second, &domain), 0);
	EXPECT_EQ(domain, second.domain);

	c.detach(first);
	EXPECT_EQ(first.domain, nullptr);
	EXPECT_EQ(second.domain->ptes.size(), 4u);
	EXPECT_EQ(type1_group_domain(c.get(), &first, &domain), -ENODEV);
	c.detach(first);
	c.detach(second);
	EXPECT_EQ(mock::domain_count(), 0u);
	EXPECT_EQ(locked(), 0u) << "the last group takes the mappings with it";
	EXPECT_EQ(c.unmap_all(), 0);
}

TEST_F(Type1Attach, CannotShare)
{
	Container c;
	mock::Hardware same_driver, other_driver, not_coherent;
	same_driver.family = 2;
	other_driver.driver = 2;
	not_coherent.coherent = false;
	iommu_group groups[] = {
		iommu_group(&hardware, 0),
		iommu_group(&same_driver, 1),
		iommu_group(&other_driver, 2),
		iommu_group(&not_coherent, 3),
	};

	ASSERT_EQ(c.attach(groups[0]), 0);
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	process.mm.map(0x7000'0000, 2, mock::kDevicePfn, true, mock::Kind::kBar);
	ASSERT_EQ(c.map(0x10000, 0x7000'0000, 2 * kPage), 0);
	for (int i = 1; i < 4; i++)
		ASSERT_EQ(c.attach(groups[i]), 0);
	EXPECT_EQ(mock::domain_count(), 4u);
	for (const iommu_group &group : groups) {
		EXPECT_EQ(ptes(group.domain), ptes(groups[0].domain)) << "replayed";
		EXPECT_EQ(group.domain->maps, 2u) << "in large pieces";
	}
	EXPECT_EQ(locked(), 4u);
	EXPECT_EQ(mock::phys::all_pins(), 4u);

	for (int i = 0; i < 3; i++) {
		c.detach(groups[i]);
		EXPECT_EQ(ptes(groups[3].domain).size(), 6u);
		EXPECT_EQ(mock::phys::all_pins(), 4u);
	}
	c.detach(groups[3]);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
}

TEST_F(Type1Attach, ReattachFailsWhenTheOldHomeRefuses)
{
	Container c;
	mock::Hardware same_driver;
	same_driver.family = 2;
	iommu_group first(&hardware), second(&same_driver);

	ASSERT_EQ(c.attach(first), 0);
	// Its own domain; the shared one, refused; its own again, which fails.
	mock::plan.fail(mock::Fail::kDomainAttach, 2);
	EXPECT_EQ(c.attach(second), -ENOMEM);
	EXPECT_TRUE(mock::plan.fired());
	EXPECT_EQ(second.domain, nullptr);
	EXPECT_EQ(mock::domain_count(), 1u);
	ASSERT_EQ(c.attach(second), 0);
	c.detach(second);
	c.detach(first);
}

TEST_F(Type1Attach, ReplayPinsWhatWasMappedBefore)
{
	Container c;
	iommu_group emulated, group(&hardware);

	ASSERT_EQ(c.attach(emulated, true), 0);
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x10000, uva(8), 2 * kPage, kRead), 0);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(group.domain->ptes.size(), 6u);
	EXPECT_EQ(locked(), 6u);
	c.detach(group);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(6 * kPage)) << "mappings outlive hardware";
	c.detach(emulated);
}

TEST_F(Type1Attach, ReplayFailsWhole)
{
	Container c;
	iommu_group emulated, group(&hardware);

	ASSERT_EQ(c.attach(emulated, true), 0);
	ASSERT_EQ(c.map(0, uva(0), 4 * kPage), 0);
	ASSERT_EQ(c.map(0x10000, uva(kPages), kPage), 0) << "there is no memory";
	EXPECT_EQ(c.attach(group), -EFAULT);
	EXPECT_EQ(group.domain, nullptr);
	EXPECT_EQ(locked(), 0u);
	EXPECT_EQ(mock::phys::all_pins(), 0u);
	process.task.rlimit_pages = 3;
	EXPECT_EQ(c.unmap(0x10000, kPage), static_cast<s64>(kPage));
	EXPECT_EQ(c.attach(group), -ENOMEM);
	process.task.rlimit_pages = 4;
	EXPECT_EQ(c.attach(group), 0);
	c.detach(group);
	c.detach(emulated);
}

TEST_F(Type1Attach, NoIommu)
{
	Container c;
	iommu_group group;

	EXPECT_EQ(c.attach(group), -EIO);
	mock::Hardware odd;
	iommu_group with(&odd);
	mock::plan.fail(mock::Fail::kDomainAlloc);
	EXPECT_EQ(c.attach(with), -EIO);
	mock::plan.fail(mock::Fail::kDomainAttach);
	EXPECT_EQ(c.attach(with), -ENOMEM);
}

TEST_F(Type1Attach, Nesting)
{
	Container c(VFIO_TYPE1_NESTING_IOMMU);
	iommu_group group(&hardware);

	mock::plan.fail(mock::Fail::kDomainNesting);
	EXPECT_EQ(c.attach(group), -ENODEV);
	ASSERT_EQ(c.attach(group), 0);
	EXPECT_TRUE(group.domain->nesting);
	c.detach(group);
}

// Offered where an IOMMU of the container has it.
TEST_F(Type1Attach, NestingExtension)
{
	mock::Hardware flat;
	flat.nests = false;
	flat.family = 2;
	iommu_group nests(&hardware), does_not(&flat), emulated;

	for (u64 type : {VFIO_TYPE1v2_IOMMU, VFIO_TYPE1_NESTING_IOMMU}) {
		Container c(type);

		ASSERT_EQ(c.attach(emulated, true), 0);
		EXPECT_EQ(c.extension(VFIO_TYPE1_NESTING_IOMMU), 0) << "no IOMMU";
		const bool wanted = type == VFIO_TYPE1_NESTING_IOMMU;
		EXPECT_EQ(c.attach(does_not), wanted ? -EINVAL : 0);
		EXPECT_EQ(c.extension(VFIO_TYPE1_NESTING_IOMMU), 0) << "an IOMMU without";
		ASSERT_EQ(c.attach(nests), 0);
		EXPECT_EQ(c.extension(VFIO_TYPE1_NESTING_IOMMU), 1);
		c.detach(nests);
		EXPECT_EQ(c.extension(VFIO_TYPE1_NESTING_IOMMU), 0);
		if (!wanted)
			c.detach(does_not);
		c.detach(emulated);
	}
}

TEST_F(Type1Attach, InterruptRemapping)
{
	Container c;
	iommu_group group(&hardware);

	group.msi_isolated = false;
	EXPECT_EQ(c.attach(group), -EPERM);
	EXPECT_EQ(mock::domain_count(), 0u);
	EXPECT_FALSE(mock::take_log().empty()) << "says what to do";
	mock::type1_params.allow_unsafe_interrupts = true;
	ASSERT_EQ(c.attach(group), 0);
	c.detach(group);
}

TEST_F(Type1Attach, MsiWindows)
{
	Container c;
	iommu_group software(&hardware), hardware_too(&hardware);

	software.reserved = {{0x8000000, 0x80fffff, SHIM_RESV_SW_MSI}};
	ASSERT_EQ(c.attach(software), 0);
	EXPECT_EQ(software.domain->msi_window, 0x8000000u);
	EXPECT_EQ(c.map(0x80ff000, uva(0), kPage), -EINVAL);
	EXPECT_EQ(c.map(0x8100000, uva(0), kPage), 0);
	c.detach(software);

	hardware_too.reserved = {{0x8000000, 0x80fffff, SHIM_RESV_SW_MSI},
				 {0xfee00000, 0xfeefffff, SHIM_RESV_MSI}};
	ASSERT_EQ(c.attach(hardware_too), 0);
	EXPECT_EQ(hardware_too.domain->msi_window, kTop) << "the hardware's wins";
	c.detach(hardware_too);

	mock::Hardware no_cookie;
	no_cookie.has_msi_cookie = false;
	iommu_group plain(&no_cookie);
	plain.reserved = software.reserved;
	EXPECT_EQ(c.attach(plain), 0) << "ENODEV is no obstacle";
	c.detach(plain);
	mock::plan.fail(mock::Fail::kReserveMsi);
	EXPECT_EQ(c.attach(software), -ENOMEM);
	EXPECT_EQ(mock::domain_count(), 0u);
}

TEST_F(Type1Attach, ReservedRegions)
{
	Container c;
	iommu_group group(&hardware), picky(&hardware);

	group.reserved = {{0xfee00000, 0xfeefffff, SHIM_RESV_MSI},
			  {0x1000, 0x1fff, SHIM_RESV_DIRECT_RELAXABLE},
			  {0, 0xfff, SHIM_RESV_RESERVED}};
	ASSERT_EQ(c.attach(group), 0);
	using Windows = std::vector<std::pair<u64, u64>>;
	EXPECT_EQ(info_of(c).windows,
		  (Windows{{0x1000, 0xfedfffff}, {0xfef00000, hardware.aperture_last}}));
	EXPECT_EQ(c.map(0xfee00000, uva(0), kPage), -EINVAL);
	EXPECT_EQ(c.map(0xfedff000, uva(0), 2 * kPage), -EINVAL);
	EXPECT_EQ(c.map(0, uva(0), kPage), -EINVAL);
	EXPECT_EQ(c.map(0x1000, uva(0), kPage), 0);
	EXPECT_EQ(c.map(0xfedff000, uva(0), kPage), 0);
	EXPECT_EQ(c.map(0xfef00000, uva(0), kPage), 0);

	picky.reserved = {{0x1800, 0x18ff, SHIM_RESV_RESERVED}};
	EXPECT_EQ(c.attach(picky), -EINVAL) << "a mapping is in the way";
	EXPECT_EQ(picky.domain, nullptr);
	EXPECT_EQ(info_of(c).windows->size(), 2u) << "and nothing has changed";
	EXPECT_EQ(c.unmap(0x1000, kPage), static_cast<s64>(kPage));
	ASSERT_EQ(c.attach(picky), 0);
	EXPECT_EQ(info_of(c).windows, (Windows{{0x1000, 0x17ff},
					       {0x1900, 0xfedfffff},
					       {0xfef00000, hardware.aperture_last}}));
	EXPECT_EQ(c.map(0x1000, uva(0), kPage), -EINVAL);
	c.detach(group);
	EXPECT_EQ(info_of(c).windows, (Windows{{0, 0x17ff}, {0x1900, hardware.aperture_last}}));
	c.detach(picky);
}

TEST_F(Type1Attach, Apertures)
{
	Container c;
	mock::Hardware narrow, high;
	narrow.family = 2;
	narrow.aperture_first = 0x100000;
	narrow.aperture_last = 0x1fffff;
	high.family = 3;
	high.aperture_first = 0x10000000;
	iommu_group wide(&hardware), tight(&narrow), above(&high);
	using Windows = std::vector<std::pair<u64, u64>>;

	ASSERT_EQ(c.attach(wide), 0);
	ASSERT_EQ(c.map(0xff000, uva(0), kPage), 0);
	EXPECT_EQ(c.attach(tight), -EINVAL);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kPage));
	ASSERT_EQ(c.map(0x200000, uva(0), kPage), 0);
	EXPECT_EQ(c.attach(tight), -EINVAL);
	EXPECT_EQ(c.unmap_all(), static_cast<s64>(kPage));
	ASSERT_EQ(c.map(0x1fe000, uva(0), 2 * kPage), 0);
	ASSERT_EQ(c.attach(tight), 0);
	EXPECT_EQ(info_of(c).windows, (Windows{{0x100000, 0x1fffff}}));
	EXPECT_EQ(c.attach(above), -EINVAL) << "no address is left";
	EXPECT_EQ(c.map(0x200000, uva(0), kPage), -EINVAL);
	c.detach(tight);
	EXPECT_EQ(info_of(c).windows, (Windows{{0, hardware.aperture_last}}));
	c.detach(wide);
}

TEST_F(Type1Attach, PageSizes)
{
	Container c;
	mock::Hardware small, sixteen;
	small.pgsizes = 0x40000000 | 0x200000 | 0x1000 | 0x400;
	sixteen.family = 2;
	sixteen.pgsizes = 0x2000000 | 0x4000;
	iommu_group first(&small), second(&sixteen);

	EXPECT_EQ(info_of(c).info.iova_pgsizes, ~(kPage - 1));
	ASSERT_EQ(c.attach(first), 0);
	EXPECT_EQ(info_of(c).info.iova_pgsizes, 0x40201000u) << "below a page is of no use";
	c.detach(first);
	ASSERT_EQ(c.attach(second), 0);
	Info info = info_of(c);
	EXPECT_EQ(info.info.iova_pgsizes, 0x2004000u);
	EXPECT_EQ(info.migration->pgsize_bitmap, 0x4000u);
	EXPECT_EQ(info.migration->max_dirty_bitmap_size, u64{1} << 28);
	process.mm.map(0x7000'0000, 8, 0x1000);
	EXPECT_EQ(c.map(0, 0x7000'0000, kPage), -EINVAL);
	EXPECT_EQ(c.map(kPage, 0x7000'0000, 4 * kPage), -EINVAL);
	EXPECT_EQ(c.map(0, 0x7000'0000, 8 * kPage), 0);
	EXPECT_EQ(c.unmap(0, 4 * kPage), -EINVAL);
	EXPECT_EQ(c.unmap(0, 8 * kPage), static_cast<s64>(8 * kPage));
	c.detach(second);
	EXPECT_EQ(info_of(c).info.iova_pgsizes, ~(kPage - 1));
}

// An IOMMU that knows pages below the CPU's only, beside one that does not:
// both can map the CPU's pages, and nothing smaller is accepted.
TEST_F(Type1Attach, PageSizesBelowAPageInOne)
{
	Container c;
	mock::Hardware half, whole;
	half.pgsizes = 0x800;
	whole.family = 2;
	whole.pgsizes = 0x201000;
	iommu_group first(&half), second(&whole);

	ASSERT_EQ(c.attach(first), 0);
	ASSERT_EQ(c.attach(second), 0);
	EXPECT_EQ(info_of(c).info.iova_pgsizes, 0x1000u);
	EXPECT_EQ(c.map(0x800, uva(0), kPage), -EINVAL);
	EXPECT_EQ(c.map(0, uva(0), 0x800), -EINVAL);
	EXPECT_EQ(c.map(0, uva(0), kPage), 0);
	EXPECT_EQ(c.unmap(0, kPage), static_cast<s64>(kPage));
	c.detach(first);
	c.detach(second);
}

// Nothing could be mapped in both.
TEST_F(Type1Attach, PageSizesWithNoneInCommon)
{
	Container c;
	mock::Hardware four, sixteen;
	four.pgsizes = 0x1000;
	sixteen.family = 2;
	sixteen.pgsizes = 0x4000;
	iommu_group first(&four), second(&sixteen);

	ASSERT_EQ(c.attach(first), 0);
	EXPECT_EQ(c.attach(second), -EINVAL);
	EXPECT_EQ(second.domain, nullptr);
	EXPECT_EQ(info_of(c).info.iova_pgsizes, 0x1000u);
	ASSERT_EQ(c.map(0, uva(0), kPage), 0);
	EXPECT_EQ(c.unmap(0, kPage), static_cast<s64>(kPage));
	c.detach(first);
}

TEST_F(Type1Attach, InfoSizes)
{
	Container c;
	iommu_group group(&hardware);

	ASSERT_EQ(c.attach(group), 0);
	EXPECT_EQ(get_info(c, 15).ret, -EFAULT);
	Info info = get_info(c, 16);
	EXPECT_EQ(info.ret, 0);
	EXPECT_TRUE(info.info.flags & VFIO_IOMMU_INFO_PGSIZES);
	EXPECT_TRUE(info.info.flags & VFIO_IOMMU_INFO_CAPS);
	info = get_info(c, sizeof(vfio_iommu_type1_info));
	EXPECT_EQ(info.ret, 0);
	EXPECT_EQ(info.info.cap_offset, 0u);
	const u32 needed = info.info.argsz;
	ASSERT_GT(needed, sizeof(vfio_iommu_type1_info));
	info = get_info(c, needed - 1);
	EXPECT_EQ(info.info.cap_offset, 0u);
	EXPECT_EQ(info.info.argsz, needed);
	EXPECT_FALSE(info.avail);
	info = get_info(c, needed);
	EXPECT_GE(info.info.cap_offset, sizeof(vfio_iommu_type1_info));
	EXPECT_TRUE(info.avail && info.migration && info.windows);
	mock::plan.fail(mock::Fail::kAlloc);
	EXPECT_EQ(get_info(c).ret, -ENOMEM);
	mock::plan.reset();
	for (u64 nth = 1; nth <= 2; nth++) {
		mock::plan.reset();
		mock::plan.fail(mock::Fail::kCopyOut, nth);
		EXPECT_EQ(get_info(c).ret, -EFAULT);
	}
	c.detach(group);
}

TEST_F(Type1Attach, WithoutHardwareThereIsNoWindow)
{
	Container c;
	iommu_group emulated;

	EXPECT_FALSE(info_of(c).windows);
	ASSERT_EQ(c.attach(emulated, true), 0);
	EXPECT_FALSE(info_of(c).windows);
	c.detach(emulated);
}

} // namespace
