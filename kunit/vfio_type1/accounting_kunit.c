// SPDX-License-Identifier: GPL-2.0
/* Whom pages are charged to, how many, and the limit. */
#include <linux/cred.h>
#include <linux/sched/signal.h>

#include "fixture.h"

#define P  PAGE_SIZE
#define AT 0x100000ull
#define RW (IOMMU_READ | IOMMU_WRITE)

/*
 * Drops the capability that lifts the limit, and sets the limit to npages
 * beyond what is charged already. Undone by limit_lift().
 */
static const struct cred *limit_set(struct fixture *f, unsigned long npages,
				    struct cred **mine)
{
	struct cred *cred = prepare_creds();

	KUNIT_ASSERT_NOT_NULL(f->test, cred);
	cap_lower(cred->cap_effective, CAP_IPC_LOCK);
	current->signal->rlim[RLIMIT_MEMLOCK].rlim_cur =
		(f->mm->locked_vm + npages) << PAGE_SHIFT;
	*mine = cred;
	return override_creds(cred);
}

static void limit_lift(const struct cred *old, struct cred *mine)
{
	revert_creds(old);
	put_cred(mine);
	current->signal->rlim[RLIMIT_MEMLOCK].rlim_cur = RLIM_INFINITY;
}

/* Owner::charge() by pin_range() */
static void a_mapping_is_charged_when_it_is_pinned(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0);
	unsigned long m = fixture_memory(f, 20);

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 20 * P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 20);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT + 20 * P, m, 3 * P, READ_WRITE),
			0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 23);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 20 * P, 0), 20 * P);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 3);
	fixture_detach(f, a);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
}

static void a_second_iommu_charges_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0), *b = fixture_device(1, 0);
	unsigned long m = fixture_memory(f, 5);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 5 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, b), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 5);
	fixture_detach(f, a);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 5);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
}

/* The limit exactly, and one more. */
static void the_limit_exactly_and_one_more(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0);
	unsigned long m = fixture_memory(f, 9);
	const struct cred *old;
	struct cred *mine;
	long exactly, more, one;

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	old = limit_set(f, 8, &mine);
	more = fixture_map(f, AT, m, 9 * P, READ_WRITE);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	exactly = fixture_map(f, AT, m, 8 * P, READ_WRITE);
	one = fixture_map(f, AT + 8 * P, m + 8 * P, P, READ_WRITE);
	limit_lift(old, mine);

	KUNIT_EXPECT_EQ(test, more, -ENOMEM);
	KUNIT_EXPECT_EQ(test, exactly, 0);
	KUNIT_EXPECT_EQ(test, one, -ENOMEM);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 8);
	expect_reaches_nothing(f, a, AT + 8 * P, 1);
}

static void the_limit_at_attach(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0);
	unsigned long m = fixture_memory(f, 8);
	const struct cred *old;
	struct cred *mine;
	int ret;

	old = limit_set(f, 5, &mine);
	ret = fixture_map(f, AT, m, 3 * P, READ_WRITE) ?:
		      fixture_map(f, AT + 3 * P, m + 3 * P, 3 * P, READ_WRITE);
	KUNIT_EXPECT_EQ(test, ret, 0);
	ret = fixture_attach(f, a);
	limit_lift(old, mine);

	KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	KUNIT_EXPECT_EQ(test, mock_now(f, 0, domains), 0);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 3 * P, 0), 3 * P);
}

/* CAP_IPC_LOCK lifts the limit. */
static void the_capability_lifts_the_limit(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0);
	unsigned long m = fixture_memory(f, 4);
	long ret;

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	current->signal->rlim[RLIMIT_MEMLOCK].rlim_cur = 0;
	ret = fixture_map(f, AT, m, 4 * P, READ_WRITE);
	current->signal->rlim[RLIMIT_MEMLOCK].rlim_cur = RLIM_INFINITY;
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 4);
}

/* What an emulated device pins is charged a page, and against the limit. */
static void pins_are_charged_one_by_one(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 6);
	const struct cred *old;
	struct page *pages[6];
	struct cred *mine;
	int over, within;

	fixture_emulated(f);
	old = limit_set(f, 4, &mine);
	KUNIT_EXPECT_EQ(test, fixture_map(f, AT, m, 6 * P, READ_WRITE), 0);
	over = fixture_pin(f, AT, 5, RW, pages);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
	within = fixture_pin(f, AT, 4, RW, pages);
	limit_lift(old, mine);
	KUNIT_EXPECT_EQ(test, over, -ENOMEM);
	KUNIT_EXPECT_EQ(test, within, 4);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 4);
	fixture_unpin(f, AT, 4);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
}

/* Two mappings of one page are two charges, as each has its pin. */
static void one_page_mapped_twice(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct mock_device *a = fixture_device(0, 0);
	unsigned long m = fixture_memory(f, 1);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(
		test, fixture_map(f, AT + P, m, P, VFIO_DMA_MAP_FLAG_READ), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 2);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 2);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, P, 0), P);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 1);
	expect_reaches(f, a, AT + P, m, 1);
}

static struct kunit_case accounting_cases[] = {
	KUNIT_CASE(a_mapping_is_charged_when_it_is_pinned),
	KUNIT_CASE(a_second_iommu_charges_nothing),
	KUNIT_CASE(the_limit_exactly_and_one_more),
	KUNIT_CASE(the_limit_at_attach),
	KUNIT_CASE(the_capability_lifts_the_limit),
	KUNIT_CASE(pins_are_charged_one_by_one),
	KUNIT_CASE(one_page_mapped_twice),
	{}
};

struct kunit_suite accounting_suite = {
	.name = "vfio_type1_accounting",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = accounting_cases,
};
