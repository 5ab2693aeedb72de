// SPDX-License-Identifier: GPL-2.0
/* Groups that join and leave, and the domains that come and go with them. */
#include "fixture.h"

#define P  PAGE_SIZE
#define AT 0x100000ull

/* DomainSet::attach(), replay() */
static void attach_maps_what_is_there(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *b = fixture_device(1, 0);
	unsigned long m = fixture_memory(f, 6);

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 4 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(
		test, fixture_map(f, AT + 8 * P, m + 4 * P, 2 * P, READ_WRITE),
		0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, b), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
	expect_reaches(f, a, AT, m, 4);
	expect_reaches(f, b, AT, m, 4);
	expect_reaches(f, b, AT + 8 * P, m + 4 * P, 2);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 4 * P, 0), 4 * P);
	expect_reaches_nothing(f, a, AT, 4);
	expect_reaches_nothing(f, b, AT, 4);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
}

/* DomainSet::join_existing() */
static void groups_of_one_iommu_share(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *b = fixture_device(0, 1);
	struct iommu_domain *of_a = NULL, *of_b = NULL;
	unsigned long m = fixture_memory(f, 1);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, b), 0);
	KUNIT_EXPECT_EQ(test, mock_now(f, 0, domains), 1);
	KUNIT_EXPECT_EQ(test, type1_group_domain(f->type1, a->group, &of_a), 0);
	KUNIT_EXPECT_EQ(test, type1_group_domain(f->type1, b->group, &of_b), 0);
	KUNIT_EXPECT_PTR_EQ(test, of_a, of_b);
	KUNIT_EXPECT_PTR_EQ(test, of_a, a->domain);
	KUNIT_EXPECT_PTR_EQ(test, of_a, b->domain);
	expect_reaches(f, b, AT, m, 1);

	fixture_detach(f, a);
	KUNIT_EXPECT_EQ(test, type1_group_domain(f->type1, a->group, &of_a),
			-ENODEV);
	KUNIT_EXPECT_NULL(test, a->domain);
	expect_reaches(f, b, AT, m, 1);
}

/* Domain::compatible_with(): one driver, but the attach is refused. */
static void iommus_that_refuse_have_a_domain_each(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *c = fixture_device(2, 0);
	unsigned long m = fixture_memory(f, 3);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 3 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, c), 0);
	KUNIT_EXPECT_EQ(test, mock_now(f, 0, domains), 1);
	KUNIT_EXPECT_EQ(test, mock_now(f, 2, domains), 1);
	expect_reaches(f, a, AT, m, 3);
	expect_reaches(f, c, AT, m, 3);
	fixture_detach(f, a);
	expect_reaches_nothing(f, a, AT, 3);
	expect_reaches(f, c, AT, m, 3);
}

static void attach_twice_and_detach_a_stranger(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *b = fixture_device(0, 1);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(test, fixture_attach(f, a), -EINVAL);
	fixture_detach(f, b);
	KUNIT_EXPECT_EQ(test, mock_now(f, 0, domains), 1);
	fixture_detach(f, a);
	fixture_detach(f, a);
	KUNIT_EXPECT_EQ(test, mock_now(f, 0, domains), 0);
}

/* Type1::detach_group(): mappings go with the last group. */
static void the_last_group_takes_the_mappings(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0);
	unsigned long m = fixture_memory(f, 2);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 2 * P, READ_WRITE), 0);
	fixture_detach(f, a);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL),
			0);
}

struct refusal {
	const char *name;
	unsigned int kind;
};

static const struct refusal refusals[] = {
	{ "no domain", VFIO_MOCK_FAIL_ALLOC },
	{ "no attach", VFIO_MOCK_FAIL_ATTACH },
	{ "no mapping", VFIO_MOCK_FAIL_MAP },
};

static void refusal_name(const struct refusal *r, char *desc)
{
	strscpy(desc, r->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(refusal, refusals, refusal_name);

/* The nth call fails, for each n that there is; then all is as before. */
static void attach_that_fails_leaves_no_trace(struct kunit *test)
{
	const struct refusal *r = test->param_value;
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *b = fixture_device(1, 0);
	unsigned long m = fixture_memory(f, 5), nth;
	int ret;

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 3 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(
		test, fixture_map(f, AT + 4 * P, m + 3 * P, 2 * P, READ_WRITE),
		0);
	for (nth = 1; nth < 100; nth++) {
		mock_fail(b->iommu, r->kind, nth);
		ret = fixture_attach(f, b);
		expect_reaches(f, a, AT, m, 3);
		KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
		if (mock_fail(b->iommu, r->kind, 0))
			break;
		KUNIT_EXPECT_LT(test, ret, 0);
		expect_reaches_nothing(f, b, AT, 3);
		KUNIT_EXPECT_EQ(test, mock_now(f, 1, domains), 0);
		KUNIT_EXPECT_EQ(test, mock_now(f, 1, ptes), 0);
	}
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_GT(test, nth, 1ul);
	expect_reaches(f, b, AT + 4 * P, m + 3 * P, 2);
}

/* DomainSet::map() */
static void
map_that_fails_in_the_second_is_undone_in_the_first(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *d[] = { fixture_device(0, 0), fixture_device(1, 0),
				    fixture_device(2, 0) };
	unsigned long m = fixture_memory(f, 16), i, j, nth;
	long ret;

	for (i = 0; i < 3; i++)
		KUNIT_ASSERT_EQ(test, fixture_attach(f, d[i]), 0);
	for (i = 0; i < 3; i++) {
		for (nth = 1; nth < 100; nth++) {
			mock_fail(d[i]->iommu, VFIO_MOCK_FAIL_MAP, nth);
			ret = fixture_map(f, AT, m, 16 * P, READ_WRITE);
			if (mock_fail(d[i]->iommu, VFIO_MOCK_FAIL_MAP, 0))
				break;
			KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
			KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
			KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
			for (j = 0; j < 3; j++)
				expect_reaches_nothing(f, d[j], AT, 16);
		}
		KUNIT_EXPECT_EQ(test, ret, 0);
		KUNIT_EXPECT_GT(test, nth, 1ul);
		KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 16 * P, 0), 16 * P);
	}
}

/* DomainSet::narrow(), IovaSpace */
static void holes_and_apertures(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *c = fixture_device(2, 0);
	unsigned long m = fixture_memory(f, 1);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 0xfee00000, m, P, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 0xfeeff000, m, P, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 1ull << 48, m, P, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			fixture_map(f, (1ull << 48) - P, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_attach(f, c), -EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, (1ull << 48) - P, P, 0), P);
	KUNIT_EXPECT_EQ(test, fixture_attach(f, c), 0);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 1ull << 32, m, P, READ_WRITE),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			fixture_map(f, (1ull << 32) - P, m, P, READ_WRITE), 0);
	expect_reaches(f, c, (1ull << 32) - P, m, 1);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, (1ull << 32) - P, P, 0), P);
	fixture_detach(f, c);
	KUNIT_EXPECT_EQ(test, fixture_map(f, 1ull << 32, m, P, READ_WRITE), 0);
}

/* type1_param_allow_unsafe_interrupts() */
static void interrupts_must_be_remapped(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *d = fixture_device(3, 0);

	KUNIT_EXPECT_EQ(test, fixture_attach(f, d), -EPERM);
	KUNIT_EXPECT_EQ(test, mock_now(f, 3, domains), 0);
	KUNIT_EXPECT_NULL(test, d->domain);
	fixture_params.allow_unsafe_interrupts = true;
	KUNIT_EXPECT_EQ(test, fixture_attach(f, d), 0);
}

/* DomainSet::coherent() */
static void coherency_of_all_domains(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *b = fixture_device(1, 0);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(test,
			type1_ioctl(f->type1, VFIO_CHECK_EXTENSION,
				    VFIO_DMA_CC_IOMMU),
			1);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, b), 0);
	KUNIT_EXPECT_EQ(test,
			type1_ioctl(f->type1, VFIO_CHECK_EXTENSION,
				    VFIO_DMA_CC_IOMMU),
			0);
	fixture_detach(f, b);
	KUNIT_EXPECT_EQ(test,
			type1_ioctl(f->type1, VFIO_CHECK_EXTENSION,
				    VFIO_DMA_CC_IOMMU),
			1);
}

/* DomainSet::page_sizes() */
static void page_sizes_of_all_domains(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct vfio_iommu_type1_info info = {
		.argsz = offsetofend(typeof(info), iova_pgsizes)
	};
	struct mock_device *a = fixture_device(0, 0), *c = fixture_device(2, 0);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(
		test,
		fixture_ioctl(f, VFIO_IOMMU_GET_INFO, &info, sizeof(info)), 0);
	KUNIT_EXPECT_EQ(test, info.iova_pgsizes, SZ_4K | SZ_2M | SZ_1G);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, c), 0);
	info.argsz = offsetofend(typeof(info), iova_pgsizes);
	KUNIT_EXPECT_EQ(
		test,
		fixture_ioctl(f, VFIO_IOMMU_GET_INFO, &info, sizeof(info)), 0);
	KUNIT_EXPECT_EQ(test, info.iova_pgsizes, SZ_4K);
}

static struct kunit_case domains_cases[] = {
	KUNIT_CASE(attach_maps_what_is_there),
	KUNIT_CASE(groups_of_one_iommu_share),
	KUNIT_CASE(iommus_that_refuse_have_a_domain_each),
	KUNIT_CASE(attach_twice_and_detach_a_stranger),
	KUNIT_CASE(the_last_group_takes_the_mappings),
	KUNIT_CASE_PARAM(attach_that_fails_leaves_no_trace, refusal_gen_params),
	KUNIT_CASE(map_that_fails_in_the_second_is_undone_in_the_first),
	KUNIT_CASE(holes_and_apertures),
	KUNIT_CASE(interrupts_must_be_remapped),
	KUNIT_CASE(coherency_of_all_domains),
	KUNIT_CASE(page_sizes_of_all_domains),
	{}
};

struct kunit_suite domains_suite = {
	.name = "vfio_type1_domains",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = domains_cases,
};
