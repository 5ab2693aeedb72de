// SPDX-License-Identifier: GPL-2.0
//
// Merged groups whose IOMMUs cannot share a domain: each has one of its own with the
// same mappings, a merge is done wholly or not at all, and failures leave nothing behind.
#include "sweep.hpp"

namespace {

constexpr Device kA{0, 0}, kA1{0, 1}, kB{1, 0}, kC{2, 0};
constexpr uint64_t kIova = 0x100000;

/* A set that has an IOMMU. */
struct TypedSet : MergedSet {
	explicit TypedSet(const Device &first) : MergedSet(first)
	{
		CHECK_EQ(set_iommu(), 0);
	}
};

} // namespace

TEST(merged_iommus_are_in_step)
{
	balanced([] {
		TypedSet set(kA);
		const Memory before(3 * kPage), after(5 * kPage);
		CHECK_EQ(set.map(before, kIova), 0);
		const uint64_t locked = locked_kib();
		for (const Device &device : {kB, kC}) {
			CHECK_EQ(set.merge(device), 0);
			device.check_reaches(kIova, before);
			CHECK_EQ(counts(device.iommu).domains, 1u);
		}
		CHECK_EQ(locked_kib(), locked);
		CHECK_EQ(set.map(after, kIova + kHuge), 0);
		CHECK_EQ(locked_kib(), locked + after.size() / 1024);
		for (const Device &device : {kA, kB, kC}) {
			device.check_reaches(kIova + kHuge, after);
			CHECK_EQ(device.pte(kIova).phys, kA.pte(kIova).phys);
		}
		CHECK_EQ(set.unmap(kIova, before.size()), before.size());
		for (const Device &device : {kA, kB, kC})
			device.check_reaches_nothing(kIova, before.size());
	});
}

TEST(merged_groups_of_one_iommu_share_a_domain)
{
	balanced([] {
		TypedSet set(kA);
		const Memory memory(4 * kPage);
		CHECK_EQ(set.map(memory, kIova), 0);
		const vfio_mock_counts one = counts(0);
		CHECK_EQ(set.merge(kA1), 0);
		CHECK_EQ(counts(0).domains, 1u);
		CHECK_EQ(counts(0).map_calls, one.map_calls);
		CHECK_EQ(counts(0).ptes, one.ptes);
		kA1.check_reaches(kIova, memory);
	});
}

TEST(a_group_that_is_taken_out_reaches_nothing)
{
	balanced([] {
		TypedSet set(kA);
		const Memory memory(4 * kPage);
		CHECK_EQ(set.merge(kB), 0);
		CHECK_EQ(set.map(memory, kIova), 0);
		const uint64_t locked = locked_kib();
		CHECK_EQ(set.unmerge(kB), 0);
		kB.check_reaches_nothing(kIova, memory.size());
		CHECK_EQ(counts(1).ptes, 0u);
		CHECK_EQ(counts(1).domains, 0u);
		CHECK_EQ(locked_kib(), locked);
		kA.check_reaches(kIova, memory);
		CHECK_EQ(set.merge(kB), 0);
		kB.check_reaches(kIova, memory);
	});
}

TEST(a_set_that_ends_leaves_nothing)
{
	balanced([] {
		const Memory memory(4 * kPage);
		{
			TypedSet set(kA);
			for (const Device &device : {kA1, kB, kC})
				CHECK_EQ(set.merge(device), 0);
			CHECK_EQ(set.map(memory, kIova), 0);
		}
		for (const Device &device : {kA, kA1, kB, kC})
			device.check_reaches_nothing(kIova, memory.size());
	});
}

TEST(an_iommu_for_groups_that_are_merged_already)
{
	balanced([] {
		MergedSet set(kA);
		const Memory memory(kPage);
		CHECK_EQ(set.merge(kB), 0);
		CHECK_EQ(set.merge(kC), 0);
		CHECK_EQ(set.set_iommu(), 0);
		CHECK_EQ(set.page_sizes(), kPage);
		CHECK_EQ(set.map(memory, kIova), 0);
		for (const Device &device : {kA, kB, kC})
			device.check_reaches(kIova, memory);
	});
}

TEST(a_merge_is_refused_where_mappings_are_in_a_hole)
{
	balanced([] {
		const Memory memory(kPage);
		const struct {
			uint64_t iova;
			Device device;
		} cases[] = {{0x100000000, kC}, {0x40000000, kB}, {1ULL << 39, kB}};
		for (const auto &test : cases) {
			TypedSet set(kA);
			CHECK_EQ(set.map(memory, test.iova), 0);
			const State before;
			CHECK_EQ(set.merge(test.device), EINVAL);
			before.check_same();
			kA.check_reaches(test.iova, memory);
			CHECK_EQ(set.unmap(test.iova, kPage), kPage);
			CHECK_EQ(set.merge(test.device), 0);
		}
	});
}

TEST(a_merge_rolls_back_when_the_iommu_refuses)
{
	balanced([] {
		TypedSet set(kA);
		const Memory one(4 * kPage), two(3 * kPage);
		CHECK_EQ(set.map(one, kIova), 0);
		CHECK_EQ(set.map(two, kIova + kHuge), 0);
		for (const Device &device : {kB, kC})
			for (unsigned kind = 0; kind < VFIO_MOCK_FAIL_KINDS; kind++) {
				const unsigned swept = sweep_calls(device.iommu, kind, [&] {
					const int error = set.merge(device);
					if (!error)
						CHECK_EQ(set.unmerge(device), 0);
					device.check_reaches_nothing(kIova, one.size());
					kA.check_reaches(kIova, one);
					kA.check_reaches(kIova + kHuge, two);
					return error;
				});
				CHECK(swept > 0);
			}
	});
}

TEST(an_iommu_for_merged_groups_is_had_by_all_or_none)
{
	for (unsigned kind : {VFIO_MOCK_FAIL_ATTACH, VFIO_MOCK_FAIL_ALLOC})
		for (const Device &device : {kA, kB, kC})
			balanced([kind, &device] {
				MergedSet set(kA);
				CHECK_EQ(set.merge(kB), 0);
				CHECK_EQ(set.merge(kC), 0);
				fail(device.iommu, kind, 1);
				CHECK(set.set_iommu() != 0);
				CHECK_EQ(fail(device.iommu, kind, 0), 0u);
				for (unsigned iommu : {0, 1, 2})
					CHECK_EQ(counts(iommu).domains, 0u);
				CHECK_EQ(set.set_iommu(), 0);
			});
}

TEST(sweep_merge)
{
	TypedSet set(kA);
	const Memory one(3 * kPage), two(kPage);
	CHECK_EQ(set.map(one, kIova), 0);
	CHECK_EQ(set.map(two, kIova + kHuge), 0);
	for (const Device &device : {kA1, kB}) {
		const Fd group = device.open_group();
		vfio_group_merge merge = merge_request(group);
		CHECK(sweep(
			      "MERGE of a group, with mappings",
			      [&] { return result(ioctl(set.fd(), VFIO_GROUP_MERGE, &merge)); },
			      [&] {
				      device.check_reaches(kIova, one);
				      device.check_reaches(kIova + kHuge, two);
				      CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_UNMERGE, &merge)),
					       0);
			      }) > 1);
	}
}

/* For want of memory it may not fail. */
TEST(sweep_unmerge)
{
	TypedSet set(kA);
	const Memory memory(3 * kPage);
	CHECK_EQ(set.map(memory, kIova), 0);
	const Fd group = kB.open_group();
	vfio_group_merge merge = merge_request(group);
	const auto merge_again = [&] {
		kB.check_reaches_nothing(kIova, memory.size());
		CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_MERGE, &merge)), 0);
		/* Without memory the IOVA ranges stay as narrow as they were, until this. */
		CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_UNMERGE, &merge)), 0);
		CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_MERGE, &merge)), 0);
	};
	CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_MERGE, &merge)), 0);
	CHECK(sweep(
		      "UNMERGE of a group",
		      [&] { return result(ioctl(set.fd(), VFIO_GROUP_UNMERGE, &merge)); },
		      merge_again, [&] { kB.check_reaches(kIova, memory); }, {EFAULT}) > 0);
}

TEST(sweep_set_iommu_of_a_group)
{
	const MergedSet set(kA);
	CHECK(sweep(
		      "SET_IOMMU on a group's file", [&] { return set.set_iommu(); },
		      [&] { CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_UNSET_CONTAINER)), 0); }) >
	      0);
}

TEST(sweep_set_iommu_of_merged_groups)
{
	MergedSet set(kA);
	CHECK_EQ(set.merge(kB), 0);
	/* A container keeps its IOMMU, and parts for one: the groups get another container. */
	const auto another = [&] {
		CHECK_EQ(set.unmerge(kB), 0);
		CHECK_EQ(result(ioctl(set.fd(), VFIO_GROUP_UNSET_CONTAINER)), 0);
		CHECK_EQ(set.merge(kB), 0);
	};
	CHECK(sweep(
		      "SET_IOMMU of two merged groups", [&] { return set.set_iommu(); }, another,
		      another) > 0);
}
