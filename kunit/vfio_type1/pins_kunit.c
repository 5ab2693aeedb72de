// SPDX-License-Identifier: GPL-2.0
/* Pages that emulated devices pin one by one, and how they reach memory. */
#include <linux/uaccess.h>

#include "fixture.h"

#define P  PAGE_SIZE
#define AT 0x100000ull
#define RW (IOMMU_READ | IOMMU_WRITE)

static struct page *page_at(struct fixture *f, unsigned long uva)
{
	struct page *page;

	KUNIT_ASSERT_EQ(f->test, get_user_pages_fast(uva, 1, 0, &page), 1);
	put_page(page);
	return page;
}

/* type1_pin_pages(), type1_unpin_pages() */
static void pin_gives_the_pages_of_the_process(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 8), i;
	struct page *pages[8];

	fixture_emulated(f);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 8 * P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT + 2 * P, 4, RW, pages), 4);
	for (i = 0; i < 4; i++) {
		KUNIT_EXPECT_PTR_EQ(test, pages[i],
				    page_at(f, m + (2 + i) * P));
		KUNIT_EXPECT_EQ(test, fixture_pins(f, m + (2 + i) * P), 1);
	}
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + P), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + 6 * P), 0);
	fixture_unpin(f, AT + 2 * P, 4);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + 2 * P), 0);
}

/* A page's count in the pin index. */
static void a_page_pinned_twice_is_unpinned_twice(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 2);
	struct page *pages[2];

	fixture_emulated(f);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 2 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT, 2, RW, pages), 2);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT, 1, IOMMU_READ, pages), 1);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 2);
	fixture_unpin(f, AT, 2);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + P), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 1);
	fixture_unpin(f, AT, 1);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
}

/* Type1::pin_pages(): all or nothing. */
static void a_pin_that_fails_pins_nothing(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 4);
	struct page *pages[8];

	fixture_emulated(f);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 2 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test,
			fixture_map(f, AT + 2 * P, m + 2 * P, P,
				    VFIO_DMA_MAP_FLAG_READ),
			0);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, AT, 4, IOMMU_READ, pages),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, AT - P, 2, IOMMU_READ, pages),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, AT, 3, RW, pages), -EPERM);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, -P, 2, RW, pages), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + 2 * P), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 0);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, AT, 3, IOMMU_READ, pages), 3);
}

/* A hole in the process's memory behind a mapping. */
static void a_pin_of_memory_that_is_gone(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 4);
	struct page *pages[4];

	fixture_emulated(f);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 4 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, vm_munmap(m + 2 * P, P), 0);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, AT, 4, RW, pages), -EFAULT);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 0);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + P), 0);
	KUNIT_EXPECT_EQ(test, fixture_pin(f, AT, 2, RW, pages), 2);
}

static void pins_need_v2_and_a_device_that_hears(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 1);
	struct mock_device *a = fixture_device(0, 0);
	struct page *page;

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test,
			type1_pin_pages(f->type1, a->group, AT, 1, RW, &page),
			-EINVAL);
	fixture_reopen(f, VFIO_TYPE1_IOMMU);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test,
			type1_pin_pages(f->type1, a->group, AT, 1, RW, &page),
			-EACCES);
}

/* Type1::unmap_dma(): the device is asked, and unpins. */
static void unmap_asks_the_device(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 8);
	struct emulated *e = fixture_emulated(f);
	struct page *pages[4];

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 4 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(
		test, fixture_map(f, AT + 4 * P, m + 4 * P, 4 * P, READ_WRITE),
		0);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT + P, 2, RW, pages), 2);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT + 4 * P, 4 * P, 0), 4 * P);
	KUNIT_EXPECT_EQ(test, e->unmaps, 0u);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + P), 1);
	KUNIT_EXPECT_EQ(test, fixture_unmap(f, AT, 8 * P, 0), 4 * P);
	KUNIT_EXPECT_EQ(test, e->unmaps, 1u);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m + P), 0);
}

/* A hardware group pins all of it; the emulated device's pin comes on top. */
static void pins_beside_a_hardware_group(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 4);
	struct mock_device *a = fixture_device(0, 0);
	struct page *pages[4];

	fixture_emulated(f);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 4 * P, READ_WRITE), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 4);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT, 3, RW, pages), 3);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 2);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 4);
	fixture_detach(f, a);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 3);
	KUNIT_ASSERT_EQ(test, fixture_attach(f, a), 0);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 4);
	expect_reaches(f, a, AT, m, 4);
	fixture_unpin(f, AT, 3);
	KUNIT_EXPECT_EQ(test, fixture_pins(f, m), 1);
	KUNIT_EXPECT_EQ(test, fixture_locked(f), 4);
}

/* type1_dma_rw() */
static void copies_cross_pages_and_mappings(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 4);
	u8 *data = kunit_kzalloc(test, 3 * P, GFP_KERNEL);
	u8 *back = kunit_kzalloc(test, 3 * P, GFP_KERNEL);
	unsigned long i;

	KUNIT_ASSERT_NOT_NULL(test, data);
	KUNIT_ASSERT_NOT_NULL(test, back);
	for (i = 0; i < 3 * P; i++)
		data[i] = i * 11 + 3;
	/* Neighbours in IOVA, not in memory. */
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m + 2 * P, 2 * P, READ_WRITE),
			0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT + 2 * P, m, 2 * P, READ_WRITE),
			0);
	KUNIT_EXPECT_EQ(test,
			type1_dma_rw(f->type1, AT + 100, data, 3 * P, true), 0);
	KUNIT_EXPECT_EQ(
		test, type1_dma_rw(f->type1, AT + 100, back, 3 * P, false), 0);
	KUNIT_EXPECT_EQ(test, memcmp(data, back, 3 * P), 0);
	KUNIT_EXPECT_EQ(test,
			copy_from_user(back, (void __user *)(m + 2 * P + 100),
				       2 * P - 100),
			0);
	KUNIT_EXPECT_EQ(test, memcmp(data, back, 2 * P - 100), 0);
	KUNIT_EXPECT_EQ(test, copy_from_user(back, (void __user *)m, P + 100),
			0);
	KUNIT_EXPECT_EQ(test, memcmp(data + 2 * P - 100, back, P + 100), 0);
}

static void copies_that_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 2);
	u8 data[16] = {};

	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, P, VFIO_DMA_MAP_FLAG_READ),
			0);
	KUNIT_ASSERT_EQ(
		test, fixture_map(f, AT + P, m, P, VFIO_DMA_MAP_FLAG_WRITE), 0);
	KUNIT_EXPECT_EQ(test, type1_dma_rw(f->type1, AT - 1, data, 1, false),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, type1_dma_rw(f->type1, AT, data, 16, false), 0);
	KUNIT_EXPECT_EQ(test, type1_dma_rw(f->type1, AT, data, 16, true),
			-EPERM);
	KUNIT_EXPECT_EQ(test,
			type1_dma_rw(f->type1, AT + P - 8, data, 16, false),
			-EPERM);
	KUNIT_EXPECT_EQ(test,
			type1_dma_rw(f->type1, AT + 2 * P - 8, data, 16, true),
			-EPERM);
	KUNIT_ASSERT_EQ(test, vm_munmap(m, P), 0);
	KUNIT_EXPECT_EQ(test, type1_dma_rw(f->type1, AT, data, 16, false),
			-EFAULT);
}

static struct kunit_case pins_cases[] = {
	KUNIT_CASE(pin_gives_the_pages_of_the_process),
	KUNIT_CASE(a_page_pinned_twice_is_unpinned_twice),
	KUNIT_CASE(a_pin_that_fails_pins_nothing),
	KUNIT_CASE(a_pin_of_memory_that_is_gone),
	KUNIT_CASE(pins_need_v2_and_a_device_that_hears),
	KUNIT_CASE(unmap_asks_the_device),
	KUNIT_CASE(pins_beside_a_hardware_group),
	KUNIT_CASE(copies_cross_pages_and_mappings),
	KUNIT_CASE(copies_that_are_refused),
	{}
};

struct kunit_suite pins_suite = {
	.name = "vfio_type1_pins",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = pins_cases,
};
