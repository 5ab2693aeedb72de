// SPDX-License-Identifier: GPL-2.0
/* What vfio.ko does for drivers: capability chains, and requests for interrupts. */
#include <linux/slab.h>

#include "fixture.h"

/* vfio_info_cap_add(), vfio_info_cap_shift() */
static void capabilities_make_a_chain(struct kunit *test)
{
	struct vfio_info_cap caps = {};
	struct vfio_info_cap_header *cap;
	u32 at = 64, seen = 0;

	cap = vfio_info_cap_add(&caps, sizeof(*cap) + 5, 7, 1);
	KUNIT_ASSERT_FALSE(test, IS_ERR(cap));
	cap = vfio_info_cap_add(&caps, sizeof(*cap), 8, 2);
	KUNIT_ASSERT_FALSE(test, IS_ERR(cap));
	cap = vfio_info_cap_add(&caps, 64, 9, 3);
	KUNIT_ASSERT_FALSE(test, IS_ERR(cap));
	KUNIT_EXPECT_NULL(test, memchr_inv(cap + 1, 0, 64 - sizeof(*cap)));
	vfio_info_cap_shift(&caps, at);
	while (at) {
		KUNIT_ASSERT_GE(test, at, 64u);
		KUNIT_EXPECT_EQ(test, at % 8, 0u);
		KUNIT_ASSERT_LE(test, at - 64 + sizeof(*cap), caps.size);
		cap = (void *)caps.buf + at - 64;
		KUNIT_EXPECT_EQ(test, cap->id, 7 + seen);
		KUNIT_EXPECT_EQ(test, cap->version, 1 + seen);
		at = cap->next;
		seen++;
	}
	KUNIT_EXPECT_EQ(test, seen, 3u);
	kfree(caps.buf);
}

struct irqs {
	const char *name;
	struct vfio_irq_set set;
	int ret;
	size_t size;
};

#define F(type, action) \
	(VFIO_IRQ_SET_DATA_##type | VFIO_IRQ_SET_ACTION_##action)

/* A device of 8 interrupts of each of 4 indices. */
static const struct irqs all_irqs[] = {
	{ "none", { 20, F(NONE, TRIGGER), 0, 0, 8 }, 0, 0 },
	{ "bools", { 28, F(BOOL, MASK), 3, 0, 8 }, 0, 8 },
	{ "eventfds", { 20 + 32, F(EVENTFD, TRIGGER), 3, 0, 8 }, 0, 32 },
	{ "some of the end", { 28, F(BOOL, UNMASK), 0, 5, 3 }, 0, 3 },
	{ "teardown", { 20, F(NONE, TRIGGER), 0, 0, 0 }, 0, 0 },
	{ "small argsz", { 19, F(NONE, TRIGGER), 0, 0, 8 }, -EINVAL },
	{ "no room for data", { 27, F(BOOL, MASK), 0, 0, 8 }, -EINVAL },
	{ "index", { 20, F(NONE, TRIGGER), 4, 0, 8 }, -EINVAL },
	{ "start", { 20, F(NONE, TRIGGER), 0, 8, 1 }, -EINVAL },
	{ "too many", { 20, F(NONE, TRIGGER), 0, 4, 5 }, -EINVAL },
	{ "count that wraps",
	  { 20, F(NONE, TRIGGER), 0, 4, U32_MAX },
	  -EINVAL },
	{ "start and count that wrap",
	  { 20, F(NONE, TRIGGER), 0, 7, U32_MAX - 6 },
	  -EINVAL },
	{ "unknown flag", { 20, F(NONE, TRIGGER) | 64, 0, 0, 8 }, -EINVAL },
	{ "no data type",
	  { 20, VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0, 8 },
	  -EINVAL },
	{ "two data types",
	  { 60, F(NONE, TRIGGER) | F(BOOL, TRIGGER), 0, 0, 8 },
	  -EINVAL },
};

static void irqs_name(const struct irqs *irqs, char *desc)
{
	strscpy(desc, irqs->name, KUNIT_PARAM_DESC_SIZE);
}
KUNIT_ARRAY_PARAM(irqs, all_irqs, irqs_name);

/* vfio_set_irqs_validate_and_prepare() */
static void requests_for_interrupts(struct kunit *test)
{
	const struct irqs *irqs = test->param_value;
	struct vfio_irq_set set = irqs->set;
	size_t size = 0;

	KUNIT_EXPECT_EQ(test,
			vfio_set_irqs_validate_and_prepare(&set, 8, 4, &size),
			irqs->ret);
	KUNIT_EXPECT_EQ(test, size, irqs->size);
}

static struct kunit_case helpers_cases[] = {
	KUNIT_CASE(capabilities_make_a_chain),
	KUNIT_CASE_PARAM(requests_for_interrupts, irqs_gen_params),
	{}
};

struct kunit_suite helpers_suite = {
	.name = "vfio_core_helpers",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = helpers_cases,
};
