// SPDX-License-Identifier: GPL-2.0
/* What VFIO_IOMMU_MAP_DMA and VFIO_IOMMU_UNMAP_DMA take for a range. */
#include "fixture.h"

#define P  PAGE_SIZE
#define AT 0x100000ull

/* type1_ioctl(), map_dma(), IovaRange: arguments that are no range. */
static void map_refuses_bad_arguments(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 4);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map) - 1,
		.flags = READ_WRITE,
		.vaddr = m,
		.iova = AT,
		.size = P,
	};

	KUNIT_EXPECT_EQ(test,
			fixture_ioctl(f, VFIO_IOMMU_MAP_DMA, &map, sizeof(map)),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, type1_ioctl(f->type1, VFIO_IOMMU_MAP_DMA, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT, m, 0, READ_WRITE), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT, m, P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT, m, P, READ_WRITE | 8),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			fixture_map(f, AT, m, P,
				    READ_WRITE | VFIO_DMA_MAP_FLAG_VADDR),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT + 1, m, P, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT, m + 1, P, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT, m, P + 1, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, type1_ioctl(f->type1, VFIO_DEVICE_RESET, 0),
			-ENOTTY);
}

/* IovaRange::of_size(): sizes that wrap in either address space. */
static void map_refuses_what_wraps(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 1);
	long ret;

	ret = fixture_map(f, -P, m, 2 * P, READ_WRITE);
	KUNIT_EXPECT_TRUE(test, ret == -EINVAL || ret == -EOVERFLOW);
	ret = fixture_map(f, AT, -P, 2 * P, READ_WRITE);
	KUNIT_EXPECT_TRUE(test, ret == -EINVAL || ret == -EOVERFLOW);
	ret = fixture_map(f, P, m, -P, READ_WRITE);
	KUNIT_EXPECT_LT(test, ret, 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL),
			0);
}

struct overlap {
	const char *name;
	u64 iova, size;
	int ret;
};

/* Against a mapping of pages 4 to 7. */
static const struct overlap overlaps[] = {
	{ "same", 4, 4, -EEXIST },
	{ "inside", 5, 1, -EEXIST },
	{ "first page", 4, 1, -EEXIST },
	{ "last page", 7, 1, -EEXIST },
	{ "over its begin", 3, 2, -EEXIST },
	{ "over its end", 7, 2, -EEXIST },
	{ "around", 3, 6, -EEXIST },
	{ "before, touching", 3, 1, 0 },
	{ "after, touching", 8, 1, 0 },
	{ "before", 1, 1, 0 },
	{ "after", 10, 1, 0 },
};

static void overlap_name(const struct overlap *o, char *desc)
{
	strscpy(desc, o->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(overlap, overlaps, overlap_name);

/* Type1::create_mapping(), RangeTree::first_in() */
static void map_beside_and_over_another(struct kunit *test)
{
	const struct overlap *o = test->param_value;
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 8);

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT + 4 * P, m, 4 * P, READ_WRITE),
			0);
	KUNIT_EXPECT_EQ(test,
			fixture_map(f, AT + o->iova * P, m, o->size * P,
				    READ_WRITE),
			o->ret);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL),
			(4 + (o->ret ? 0 : o->size)) * P);
}

/* Type1::unmap_dma(), take_victims() */
static void unmap_never_splits(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 8);

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT + 2 * P, m, 4 * P, READ_WRITE),
			0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 2 * P, P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 5 * P, P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 3 * P, P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 3 * P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 5 * P, 3 * P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 2 * P, 0), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 6 * P, P, 0), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 8 * P, 0), 4 * P);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 8 * P, 0), 0);
}

static void unmap_takes_all_in_a_range(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 2), i;

	for (i = 0; i < 6; i++)
		KUNIT_ASSERT_EQ(test,
				fixture_map(f, AT + 3 * i * P, m, 2 * P,
					    READ_WRITE),
				0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 3 * P, 8 * P, 0), 6 * P);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 3 * P, 0), 2 * P);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL),
			4 * P);
}

static void unmap_refuses_bad_arguments(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct vfio_iommu_type1_dma_unmap unmap = { .argsz = sizeof(unmap) - 1,
						    .size = P };

	KUNIT_EXPECT_EQ(test,
			fixture_ioctl(f, VFIO_IOMMU_UNMAP_DMA, &unmap,
				      sizeof(unmap)),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 0, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 1, P, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, P - 1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, P, 1 << 5), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 0, VFIO_DMA_UNMAP_FLAG_ALL),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 0, P, VFIO_DMA_UNMAP_FLAG_ALL),
			-EINVAL);
	KUNIT_EXPECT_LT(test, fixture_unmap(f, -P, 2 * P, 0), 0);
}

/* Range::last: the last page of 2^64, which has no address after it. */
static void the_last_page_there_is(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 2);
	u64 last = -P;

	KUNIT_EXPECT_EQ(test, fixture_map(f, last, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_map(f, last, m, P, READ_WRITE), -EEXIST);
	KUNIT_EXPECT_EQ(test, fixture_map(f, last - P, m, 2 * P, READ_WRITE),
			-EEXIST);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 0, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, last, P, 0), P);
	KUNIT_EXPECT_EQ(test, fixture_map(f, last - P, m, 2 * P, READ_WRITE),
			0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 1ull << 63, 1ull << 63, 0),
			2 * P);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 0, 1ull << 63, 0), P);
}

/* type1_param_dma_entry_limit() */
static void the_number_of_mappings_is_limited(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 1);

	fixture_params.dma_entry_limit = 2;
	fixture_reopen(f, VFIO_TYPE1v2_IOMMU);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 0, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_map(f, P, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 2 * P, m, P, READ_WRITE), -ENOSPC);
	KUNIT_EXPECT_EQ(test, fixture_map(f, P, m, P, READ_WRITE), -EEXIST);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, P, P, 0), P);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 2 * P, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_map(f, P, m, P, READ_WRITE), -ENOSPC);
}

/* v1: a mapping goes with its first address. */
static void v1_unmaps_by_first_address(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 4);

	fixture_reopen(f, VFIO_TYPE1_IOMMU);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 4 * P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + P, P, 0), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, P, 0), 4 * P);
}

/* Against a plain model: one byte a page. */
static void random_against_a_model(struct kunit *test)
{
	enum {
		PAGES = 64,
		STEPS = 600
	};
	struct fixture *f = test->priv;
	u8 model[PAGES] = {}; /* number of the mapping, 0 for none */
	unsigned long m = fixture_memory(f, PAGES), step, i;
	u64 seed = 0x5eed0f1e, number = 0;

	kunit_info(test, "seed %llx", seed);
	for (step = 0; step < STEPS; step++) {
		unsigned long first, count;
		bool wanted = true;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		first = (seed >> 33) % PAGES;
		count = 1 + (seed >> 45) % min(8ul, PAGES - first);
		if (seed >> 63) {
			for (i = first; i < first + count; i++)
				wanted &= !model[i];
			KUNIT_ASSERT_EQ(test,
					fixture_map(f, first * P, m, count * P,
						    READ_WRITE),
					wanted ? 0 : -EEXIST);
			if (!wanted)
				continue;
			number = number % 255 + 1;
			memset(model + first, number, count);
		} else {
			u64 bytes = 0;

			if ((first && model[first] &&
			     model[first - 1] == model[first]) ||
			    (first + count < PAGES && model[first + count] &&
			     model[first + count - 1] == model[first + count]))
				wanted = false;
			for (i = first; i < first + count; i++)
				bytes += model[i] ? P : 0;
			KUNIT_ASSERT_EQ(
				test, fixture_unmap(f, first * P, count * P, 0),
				wanted ? (s64)bytes : -EINVAL);
			if (wanted)
				memset(model + first, 0, count);
		}
	}
}

static struct kunit_case dma_ranges_cases[] = {
	KUNIT_CASE(map_refuses_bad_arguments),
	KUNIT_CASE(map_refuses_what_wraps),
	KUNIT_CASE_PARAM(map_beside_and_over_another, overlap_gen_params),
	KUNIT_CASE(unmap_never_splits),
	KUNIT_CASE(unmap_takes_all_in_a_range),
	KUNIT_CASE(unmap_refuses_bad_arguments),
	KUNIT_CASE(the_last_page_there_is),
	KUNIT_CASE(the_number_of_mappings_is_limited),
	KUNIT_CASE(v1_unmaps_by_first_address),
	KUNIT_CASE(random_against_a_model),
	{}
};

struct kunit_suite dma_ranges_suite = {
	.name = "vfio_type1_dma_ranges",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = dma_ranges_cases,
};
