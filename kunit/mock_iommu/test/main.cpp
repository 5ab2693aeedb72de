// SPDX-License-Identifier: GPL-2.0
//
// One container on several IOMMUs that cannot share a domain: mappings are the
// same in each, kept in step, and rolled back in all when one refuses. Runs as
// root in the guest, with vfio_mock_iommu.ko loaded. TAP on standard output.
#include "mock.hpp"

namespace {

constexpr Device kA{0, 0}, kA1{0, 1}, kB{1, 0}, kC{2, 0}, kD{3, 0};
constexpr uint64_t kIova = 0x100000;

void attach(Container &container, std::initializer_list<Device> devices)
{
	for (const Device &device : devices)
		CHECK_EQ(container.attach(device), 0);
}

/* Its interrupts are not remapped; for a moment they are. */
void attach_kd(Container &container)
{
	set_flags(kD.iommu, VFIO_MOCK_INTREMAP);
	const int error = container.attach(kD);
	set_flags(kD.iommu, 0);
	CHECK_EQ(error, 0);
}

} // namespace

TEST(map_and_unmap_reach_every_iommu)
{
	balanced([] {
		Container container;
		const Memory memory(8 * kPage);
		attach(container, {kA, kB, kC});
		CHECK_EQ(container.map(memory, kIova), 0);
		for (const Device &device : {kA, kB, kC}) {
			device.check_reaches(kIova, memory);
			device.check_reaches_nothing(kIova - kPage, kPage);
			device.check_reaches_nothing(kIova + memory.size(), kPage);
		}
		for (uint64_t at = 0; at < memory.size(); at += kPage) {
			CHECK_EQ(kB.pte(kIova + at).phys, kA.pte(kIova + at).phys);
			CHECK_EQ(kC.pte(kIova + at).phys, kA.pte(kIova + at).phys);
		}
		CHECK_EQ(container.unmap(kIova, memory.size()), memory.size());
		for (const Device &device : {kA, kB, kC})
			device.check_reaches_nothing(kIova, memory.size());
	});
}

TEST(each_unmap_flushes_each_iommu)
{
	balanced([] {
		Container container;
		const Memory memory(4 * kPage);
		attach(container, {kA, kB});
		CHECK_EQ(container.map(memory, kIova), 0);
		const uint64_t flushes[] = {counts(0).flushes, counts(1).flushes};
		CHECK_EQ(container.unmap(kIova, memory.size()), memory.size());
		for (unsigned i = 0; i < 2; i++) {
			CHECK(counts(i).flushes > flushes[i]);
			CHECK_EQ(counts(i).stale, 0u);
		}
	});
}

TEST(protection_is_the_same_in_every_iommu)
{
	balanced([] {
		Container container;
		const Memory memory(2 * kPage);
		attach(container, {kA, kB});
		CHECK_EQ(container.map(memory, kIova, kRead), 0);
		kA.check_reaches(kIova, memory, false);
		kB.check_reaches(kIova, memory, false);
	});
}

TEST(devices_of_one_iommu_share_a_domain)
{
	balanced([] {
		Container container;
		const Memory memory(kPage);
		CHECK_EQ(container.attach(kA), 0);
		CHECK_EQ(container.map(memory, kIova), 0);
		const uint64_t maps = counts(0).map_calls;
		CHECK_EQ(container.attach(kA1), 0);
		CHECK_EQ(counts(0).domains, 1u);
		CHECK_EQ(counts(0).map_calls, maps);
		kA1.check_reaches(kIova, memory);
		container.detach(kA);
		kA1.check_reaches(kIova, memory);
		kA.check_reaches_nothing(kIova, kPage);
	});
}

TEST(iommus_of_one_driver_that_refuse_each_other)
{
	balanced([] {
		Container container;
		const Memory memory(kPage);
		attach(container, {kA, kC});
		CHECK_EQ(counts(0).domains, 1u);
		CHECK_EQ(counts(2).domains, 1u);
		CHECK_EQ(container.map(memory, kIova), 0);
		kA.check_reaches(kIova, memory);
		kC.check_reaches(kIova, memory);
	});
}

TEST(attach_replays_what_is_mapped)
{
	balanced([] {
		Container container;
		const Memory one(3 * kPage), two(kPage);
		CHECK_EQ(container.attach(kA), 0);
		CHECK_EQ(container.map(one, kIova), 0);
		CHECK_EQ(container.map(two, kIova + kHuge, kRead), 0);
		const uint64_t locked = locked_kib();
		CHECK_EQ(container.attach(kB), 0);
		CHECK_EQ(locked_kib(), locked);
		kB.check_reaches(kIova, one);
		kB.check_reaches(kIova + kHuge, two, false);
	});
}

TEST(detach_leaves_the_others_as_they_are)
{
	balanced([] {
		Container container;
		const Memory memory(3 * kPage);
		attach(container, {kA, kB});
		CHECK_EQ(container.map(memory, kIova), 0);
		const uint64_t locked = locked_kib();
		container.detach(kA);
		CHECK_EQ(counts(0).ptes, 0u);
		CHECK_EQ(counts(0).domains, 0u);
		CHECK_EQ(locked_kib(), locked);
		kB.check_reaches(kIova, memory);
		kA.check_reaches_nothing(kIova, memory.size());
		CHECK_EQ(container.attach(kA), 0);
		kA.check_reaches(kIova, memory);
		container.detach(kB);
		container.detach(kA);
		CHECK_EQ(counts(0).ptes, 0u);
	});
}

TEST(map_rolls_back_when_any_iommu_refuses)
{
	balanced([] {
		Container container;
		const Memory memory(16 * kPage);
		attach(container, {kA, kB, kC});
		for (unsigned iommu : {0, 1, 2}) {
			const unsigned swept = sweep_calls(iommu, VFIO_MOCK_FAIL_MAP, [&] {
				const int error = container.map(memory, kIova);
				if (error)
					CHECK_EQ(error, ENOMEM);
				else
					container.unmap(kIova, memory.size());
				return error;
			});
			CHECK(swept > 0);
		}
	});
}

TEST(attach_rolls_back_when_the_new_iommu_refuses_a_mapping)
{
	balanced([] {
		Container container;
		const Memory one(4 * kPage), two(3 * kPage), three(2 * kPage);
		CHECK_EQ(container.attach(kA), 0);
		CHECK_EQ(container.map(one, kIova), 0);
		CHECK_EQ(container.map(two, kIova + kHuge), 0);
		CHECK_EQ(container.map(three, kIova + 2 * kHuge), 0);
		const unsigned swept = sweep_calls(1, VFIO_MOCK_FAIL_MAP, [&] {
			const int error = container.attach(kB);
			if (!error)
				container.detach(kB);
			kA.check_reaches(kIova, one);
			kA.check_reaches(kIova + kHuge, two);
			kA.check_reaches(kIova + 2 * kHuge, three);
			return error;
		});
		CHECK(swept >= 3);
	});
}

TEST(attach_that_fails_leaves_nothing)
{
	balanced([] {
		Container container;
		const Memory memory(2 * kPage);
		CHECK_EQ(container.attach(kA), 0);
		CHECK_EQ(container.map(memory, kIova), 0);
		for (const Device &device : {kB, kC, kA1})
			for (unsigned kind : {VFIO_MOCK_FAIL_ATTACH, VFIO_MOCK_FAIL_ALLOC}) {
				fail(device.iommu, kind, 1);
				CHECK(container.attach(device) != 0);
				CHECK_EQ(fail(device.iommu, kind, 0), 0u);
				device.check_reaches_nothing(kIova, kPage);
				kA.check_reaches(kIova, memory);
				CHECK_EQ(container.attach(device), 0);
				device.check_reaches(kIova, memory);
				container.detach(device);
			}
	});
}

TEST(the_first_attach_that_fails_leaves_nothing)
{
	for (unsigned kind : {VFIO_MOCK_FAIL_ATTACH, VFIO_MOCK_FAIL_ALLOC})
		balanced([kind] {
			Container container;
			fail(0, kind, 1);
			CHECK(container.attach(kA) != 0);
			CHECK_EQ(fail(0, kind, 0), 0u);
			CHECK_EQ(container.attach(kA), 0);
		});
}

TEST(page_sizes_are_the_intersection)
{
	balanced([] {
		Container container;
		CHECK_EQ(container.attach(kA), 0);
		CHECK_EQ(container.page_sizes(), kPage | kHuge | (1ULL << 30));
		CHECK_EQ(container.attach(kB), 0);
		CHECK_EQ(container.page_sizes(), kPage | kHuge);
		CHECK_EQ(container.attach(kC), 0);
		CHECK_EQ(container.page_sizes(), kPage);
		container.detach(kB);
		container.detach(kC);
		CHECK_EQ(container.page_sizes(), kPage | kHuge | (1ULL << 30));
	});
}

TEST(holes_are_the_union)
{
	using Ranges = std::vector<std::pair<uint64_t, uint64_t>>;
	balanced([] {
		Container container;
		CHECK_EQ(container.attach(kA), 0);
		CHECK(container.ranges() ==
		      Ranges({{0, 0xfedfffff}, {0xfef00000, (1ULL << 48) - 1}}));
		CHECK_EQ(container.attach(kB), 0);
		CHECK(container.ranges() == Ranges({{0x10000, 0x3fffffff},
						    {0x40100000, 0xfedfffff},
						    {0xfef00000, (1ULL << 39) - 1}}));
		CHECK_EQ(container.attach(kC), 0);
		CHECK(container.ranges() == Ranges({{0x10000, 0x3fffffff},
						    {0x40100000, 0xfedfffff},
						    {0xfef00000, 0xffffffff}}));
		container.detach(kB);
		CHECK(container.ranges() == Ranges({{0, 0xfedfffff}, {0xfef00000, 0xffffffff}}));
	});
}

TEST(no_mapping_in_a_hole_of_any_iommu)
{
	balanced([] {
		Container container;
		const Memory memory(2 * kPage);
		attach(container, {kA, kB, kC});
		/* From the first mapping on the container knows the caller. */
		CHECK_EQ(container.map(memory, kIova), 0);
		CHECK_EQ(container.unmap(kIova, memory.size()), memory.size());
		const State before;
		for (const uint64_t iova :
		     {0xfee00000ULL, 0xfedff000ULL, 0x40000000ULL, 0x400ff000ULL, 0xf000ULL, 0x0ULL,
		      0xfffff000ULL, 0x100000000ULL, (1ULL << 39) - kPage}) {
			CHECK_EQ(container.map(memory, iova), EINVAL);
			before.check_same();
		}
		for (const uint64_t iova :
		     {0xfedfe000ULL, 0xfef00000ULL, 0x3fffe000ULL, 0x10000ULL, 0xffffe000ULL}) {
			CHECK_EQ(container.map(memory, iova), 0);
			for (const Device &device : {kA, kB, kC})
				device.check_reaches(iova, memory);
			CHECK_EQ(container.unmap(iova, memory.size()), memory.size());
			before.check_same();
		}
	});
}

TEST(attach_is_refused_where_mappings_are_in_its_holes)
{
	balanced([] {
		const Memory memory(kPage);
		const struct {
			uint64_t iova;
			Device device;
		} cases[] = {{0x100000000, kC}, {0x40000000, kB}, {0xf000, kB}, {1ULL << 39, kB}};
		for (const auto &test : cases) {
			Container container;
			CHECK_EQ(container.attach(kA), 0);
			CHECK_EQ(container.map(memory, test.iova), 0);
			const State before;
			CHECK_EQ(container.attach(test.device), EINVAL);
			before.check_same();
			kA.check_reaches(test.iova, memory);
			CHECK_EQ(container.unmap(test.iova, kPage), kPage);
			CHECK_EQ(container.attach(test.device), 0);
		}
	});
}

TEST(unmap_of_everything_reaches_every_iommu)
{
	balanced([] {
		Container container;
		const Memory memory(2 * kPage);
		attach(container, {kA, kC});
		for (const uint64_t iova : {0ULL, 0x200000ULL, 0xffffe000ULL})
			CHECK_EQ(container.map(memory, iova), 0);
		CHECK_EQ(container.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 6 * kPage);
		for (const uint64_t iova : {0ULL, 0x200000ULL, 0xffffe000ULL})
			for (const Device &device : {kA, kC})
				device.check_reaches_nothing(iova, memory.size());
	});
}

TEST(pages_smaller_than_the_cpus)
{
	balanced([] {
		Container container;
		const Memory memory(3 * kPage);
		attach_kd(container);
		CHECK_EQ(container.page_sizes(), kPage);
		CHECK_EQ(container.map(memory, kIova + kPage / 2), EINVAL);
		CHECK_EQ(container.map(memory, kIova, kReadWrite, kPage / 2), EINVAL);
		CHECK_EQ(container.map(memory, kIova), 0);
		CHECK_EQ(kD.pte(kIova).size, kPage / 2);
		CHECK_EQ(counts(3).ptes, 6u);
		kD.check_reaches(kIova, memory);
		CHECK_EQ(container.unmap(kIova, memory.size()), memory.size());
	});
}

TEST(the_last_address_there_is)
{
	balanced([] {
		Container container;
		const Memory memory(2 * kPage);
		const uint64_t iova = -memory.size();
		attach_kd(container);
		CHECK_EQ(container.map(memory, iova), 0);
		kD.check_reaches(iova, memory);
		CHECK_EQ(container.map(memory, iova), EEXIST);
		CHECK_EQ(container.unmap(iova, memory.size()), memory.size());
		kD.check_reaches_nothing(iova, memory.size());
		CHECK_EQ(container.map(memory, iova), 0);
		CHECK_EQ(container.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), memory.size());
	});
}

TEST(huge_pages_are_mapped_as_each_iommu_can)
{
	balanced([] {
		Container container;
		const Memory memory(kHuge, MAP_HUGETLB);
		attach(container, {kA, kB, kC});
		CHECK_EQ(container.map(memory, kHuge), 0);
		CHECK_EQ(kA.pte(kHuge + kPage).size, kHuge);
		CHECK_EQ(kB.pte(kHuge + kPage).size, kHuge);
		CHECK_EQ(kC.pte(kHuge + kPage).size, 65536u);
		for (const Device &device : {kA, kB, kC})
			device.check_reaches(kHuge, memory);
		CHECK_EQ(container.unmap(kHuge, kHuge), kHuge);
		/* Not on a boundary of them in IOVA: small pages. */
		CHECK_EQ(container.map(memory, kHuge + kPage), 0);
		for (const Device &device : {kA, kB, kC}) {
			CHECK_EQ(device.pte(kHuge + kPage).size, kPage);
			device.check_reaches(kHuge + kPage, memory);
		}
	});
}

TEST(interrupts_that_are_not_remapped)
{
	balanced([] {
		Container container;
		set_parameter("allow_unsafe_interrupts", "N");
		CHECK_EQ(container.attach(kD), EPERM);
		set_parameter("allow_unsafe_interrupts", "Y");
		const int error = container.attach(kD);
		set_parameter("allow_unsafe_interrupts", "N");
		CHECK_EQ(error, 0);
	});
}

TEST(coherency_is_enforced_where_it_can_be)
{
	balanced([] {
		Container container;
		const Memory memory(kPage);
		CHECK_EQ(container.attach(kA), 0);
		CHECK_EQ(container.extension(VFIO_DMA_CC_IOMMU), 1);
		CHECK_EQ(container.map(memory, kIova), 0);
		CHECK_EQ(container.attach(kB), 0);
		CHECK_EQ(container.extension(VFIO_DMA_CC_IOMMU), 0);
		kB.check_reaches(kIova, memory);
		container.detach(kB);
		CHECK_EQ(container.extension(VFIO_DMA_CC_IOMMU), 1);
	});
}

TEST(a_container_that_is_closed_unmaps_all)
{
	balanced([] {
		const Memory memory(5 * kPage);
		{
			Container container;
			attach(container, {kA, kB});
			CHECK_EQ(container.map(memory, kIova), 0);
			CHECK_EQ(container.map(memory, kIova + kHuge), 0);
		}
		kA.check_reaches_nothing(kIova, memory.size());
		kB.check_reaches_nothing(kIova, memory.size());
	});
}

int main()
{
	/* The kernel makes a blocking domain for each group when it is first used, and keeps it. */
	for (const Device &device : {kA, kA1, kB, kC}) {
		Container container;
		CHECK_EQ(container.attach(device), 0);
	}
	Container container;
	attach_kd(container);
	container.detach(kD);
	return tap::run_all();
}
