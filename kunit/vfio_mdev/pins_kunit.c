// SPDX-License-Identifier: GPL-2.0
/* The pins that mdev.ko keeps for drivers, of a device in a real container. */
#include <linux/delay.h>
#include <linux/dma-map-ops.h>

#include "fixture.h"

#define P     PAGE_SIZE
#define RW    (IOMMU_READ | IOMMU_WRITE)
#define PAGES 1200

struct found {
	u64 npages, pins, runs, last;
	bool dma;
	int stop_at;
};

static int visit(const struct mdev_pin_run *run, void *arg)
{
	struct found *found = arg;

	found->runs++;
	found->npages += run->npages;
	found->pins += run->npages * run->count;
	found->last = run->iova + run->npages * P - 1;
	found->dma = run->dma == (dma_addr_t)run->pfn << PAGE_SHIFT;
	return found->runs == found->stop_at ? -ECANCELED : 0;
}

static void expect_pinned(struct mdev_fixture *f, u64 npages, u64 pins)
{
	struct found found = {};

	KUNIT_EXPECT_EQ(f->files.test,
			mdev_pins_for_each(f->mediated->pins, 0, U64_MAX, visit,
					   &found),
			0);
	KUNIT_EXPECT_EQ(f->files.test, found.npages, npages);
	KUNIT_EXPECT_EQ(f->files.test, found.pins, pins);
	KUNIT_EXPECT_EQ(f->files.test, mdev_pins_npages(f->mediated->pins),
			npages);
}

/* mdev_pins_pin(), mdev_pins_unpin() */
static void a_page_is_pinned_once_however_often_it_counts(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, false);

	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 2 * P, 1000, RW), 0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 10 * P, 5, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, page_pins(f, 1), 0);
	KUNIT_EXPECT_EQ(test, page_pins(f, 2), 1);
	KUNIT_EXPECT_EQ(test, page_pins(f, 10), 1);
	expect_pinned(f, 1000, 1005);
	KUNIT_EXPECT_EQ(test, mdev_pins_unpin(pins, 0, PAGES), 1000);
	KUNIT_EXPECT_EQ(test, page_pins(f, 2), 0);
	KUNIT_EXPECT_EQ(test, page_pins(f, 10), 1);
	expect_pinned(f, 5, 5);
	KUNIT_EXPECT_EQ(test, mdev_pins_unpin(pins, 12 * P, U64_MAX), 3);
	KUNIT_EXPECT_EQ(test, page_pins(f, 12), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_unpin(pins, 12 * P, 1), 0);
	expect_pinned(f, 2, 2);
}

/* mdev_pins_find(), mdev_pins_for_each() */
static void what_is_found_is_what_the_process_has(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, 600, false);
	struct mdev_pin_run run;
	struct found found = { .stop_at = 1 };
	struct page *page;

	KUNIT_EXPECT_FALSE(test, mdev_pins_find(pins, 0, &run));
	KUNIT_EXPECT_EQ(test, run.npages, 0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 100 * P, 3, RW), 0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 101 * P, 1, RW), 0);
	KUNIT_ASSERT_TRUE(test, mdev_pins_find(pins, 101 * P + 7, &run));
	KUNIT_ASSERT_EQ(
		test, get_user_pages_fast(f->memory + 101 * P, 1, 0, &page), 1);
	put_page(page);
	KUNIT_EXPECT_EQ(test, run.iova, 101 * P);
	KUNIT_EXPECT_EQ(test, run.npages, 1);
	KUNIT_EXPECT_EQ(test, run.pfn, page_to_pfn(page));
	KUNIT_EXPECT_EQ(test, run.dma, 0);
	KUNIT_EXPECT_EQ(test, run.count, 2);
	KUNIT_EXPECT_FALSE(test, mdev_pins_find(pins, 103 * P, &run));

	KUNIT_EXPECT_EQ(test,
			mdev_pins_for_each(pins, 0, U64_MAX, visit, &found),
			-ECANCELED);
	KUNIT_EXPECT_EQ(test, found.runs, 1);
	found = (struct found){};
	KUNIT_EXPECT_EQ(
		test, mdev_pins_for_each(pins, 102 * P, 200 * P, visit, &found),
		0);
	KUNIT_EXPECT_EQ(test, found.npages, 1);
	KUNIT_EXPECT_EQ(test, found.last, 103 * P - 1);
	KUNIT_EXPECT_GT(test, mdev_pins_bytes(pins), 0);
}

/* mdev_pins_pin(): all or none. */
static void a_pin_that_fails_pins_nothing(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, false);

	KUNIT_ASSERT_EQ(test,
			pinning_map(f, PAGES * P, f->memory, 10,
				    VFIO_DMA_MAP_FLAG_READ),
			0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 5 * P, 1, RW), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, PAGES + 11, IOMMU_READ),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, PAGES + 10, RW), -EPERM);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 1, 1, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 0, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, -P, 2, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 1, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 1, IOMMU_CACHE), -EINVAL);
	KUNIT_EXPECT_EQ(test, page_pins(f, 4), 0);
	expect_pinned(f, 1, 1);
}

static void more_protection_than_before(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, 20, false);

	KUNIT_ASSERT_EQ(test,
			pinning_map(f, 20 * P, f->memory, 10,
				    VFIO_DMA_MAP_FLAG_READ),
			0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 0, 30, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 20, IOMMU_WRITE), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 19 * P, 2, IOMMU_WRITE),
			-EPERM);
	expect_pinned(f, 30, 50);
	KUNIT_EXPECT_EQ(test, page_pins(f, 15), 1);
}

/* mdev_pins_drop(), as dma_unmap and as close_device call it. */
static void an_unmap_and_a_close_drop_what_is_there(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, false);

	KUNIT_ASSERT_EQ(test,
			pinning_map(f, PAGES * P, f->memory, 10,
				    VFIO_DMA_MAP_FLAG_READ),
			0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 0, PAGES + 10, IOMMU_READ),
			0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 50 * P, 100, RW), 0);
	KUNIT_EXPECT_EQ(test, pinning_unmap(f, 0, PAGES), PAGES);
	KUNIT_EXPECT_EQ(test, f->mediated->unmaps, 1);
	KUNIT_EXPECT_EQ(test, page_pins(f, 60), 0);
	KUNIT_EXPECT_EQ(test, page_pins(f, 5), 1);
	expect_pinned(f, 10, 10);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 1, RW), -EINVAL);
	KUNIT_EXPECT_EQ(test, mdev_pins_drop(pins, PAGES * P, 2 * P), 2);
	KUNIT_EXPECT_EQ(test, mdev_pins_drop(pins, PAGES * P, 2 * P), 0);
	/* The rest goes when the device is closed. */
}

static void pages_have_dma_addresses(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, true);
	struct found found = {};
	struct mdev_pin_run run;

	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 0, PAGES, RW), 0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 700 * P, 10, RW), 0);
	KUNIT_EXPECT_EQ(test,
			mdev_pins_for_each(pins, 0, U64_MAX, visit, &found), 0);
	KUNIT_EXPECT_TRUE(test, found.dma);
	KUNIT_EXPECT_EQ(test, found.pins, PAGES + 10);
	KUNIT_EXPECT_EQ(test, mdev_pins_unpin(pins, 10 * P, PAGES - 20),
			PAGES - 20);
	KUNIT_ASSERT_TRUE(test, mdev_pins_find(pins, 705 * P, &run));
	KUNIT_EXPECT_EQ(test, run.dma, run.pfn << PAGE_SHIFT);
	expect_pinned(f, 30, 30);
}

/* A device that has room for so many addresses. */
static unsigned int addresses, most_addresses;

static dma_addr_t map_some(struct device *dev, struct page *page,
			   unsigned long offset, size_t size,
			   enum dma_data_direction dir, unsigned long attrs)
{
	if (addresses == most_addresses)
		return DMA_MAPPING_ERROR;
	addresses++;
	return page_to_phys(page) + offset;
}

static void unmap_some(struct device *dev, dma_addr_t dma, size_t size,
		       enum dma_data_direction dir, unsigned long attrs)
{
	addresses--;
}

static const struct dma_map_ops some_addresses = {
	.map_page = map_some,
	.unmap_page = unmap_some,
};

static void pages_for_which_there_is_no_address(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, true);

	set_dma_ops(f->dev, &some_addresses);
	addresses = 0;
	most_addresses = 700;
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 0, 30, RW), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, PAGES, RW), -EIO);
	expect_pinned(f, 30, 30);
	KUNIT_EXPECT_EQ(test, addresses, 30);
	KUNIT_EXPECT_EQ(test, page_pins(f, 300), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 700, RW), 0);
	KUNIT_EXPECT_EQ(test, addresses, 700);
	KUNIT_EXPECT_EQ(test, mdev_pins_drop(pins, 0, U64_MAX), 700);
	KUNIT_EXPECT_EQ(test, addresses, 0);
}

/* mdev_pins_create(), mdev_pins_destroy() */
static void creating_and_destroying(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins;

	pinning_open(f, 600, false);
	KUNIT_EXPECT_PTR_EQ(
		test, mdev_pins_create(&f->mediated->vdev, f->dev, DMA_NONE),
		ERR_PTR(-EINVAL));
	mdev_pins_destroy(NULL);
	pins = mdev_pins_create(&f->mediated->vdev, f->dev, DMA_TO_DEVICE);
	KUNIT_ASSERT_FALSE(test, IS_ERR(pins));
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 600, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, mdev_pins_pin(pins, 0, 60, IOMMU_READ), 0);
	KUNIT_EXPECT_EQ(test, page_pins(f, 0), 1);
	mdev_pins_destroy(pins);
	KUNIT_EXPECT_EQ(test, page_pins(f, 0), 0);
	KUNIT_EXPECT_EQ(test, page_pins(f, 599), 0);
}

/* --- each allocation fails in turn --- */

static int pin_many(struct mdev_fixture *f)
{
	return mdev_pins_pin(f->mediated->pins, 100 * P, 700, RW);
}

static void unpin_many(struct mdev_fixture *f)
{
	/* Its own allocations may all fail. */
	current->fail_nth = 1;
	KUNIT_EXPECT_EQ(f->files.test,
			mdev_pins_unpin(f->mediated->pins, 100 * P, 700), 700);
	current->fail_nth = 0;
}

static void still_two(struct mdev_fixture *f)
{
	expect_pinned(f, 2, 2);
}

static void each_allocation_of_a_pin_fails(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, false);

	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 150 * P, 1, RW), 0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 650 * P, 1, RW), 0);
	KUNIT_EXPECT_GT(test, fixture_sweep(f, pin_many, unpin_many, still_two),
			4);
	KUNIT_EXPECT_EQ(test, page_pins(f, 100), 0);
}

static void each_allocation_of_a_pin_with_dma_fails(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct mdev_pins *pins = pinning_open(f, PAGES, true);

	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 150 * P, 1, RW), 0);
	KUNIT_ASSERT_EQ(test, mdev_pins_pin(pins, 650 * P, 1, RW), 0);
	KUNIT_EXPECT_GT(test, fixture_sweep(f, pin_many, unpin_many, still_two),
			5);
}

static int create_pins(struct mdev_fixture *f)
{
	struct mdev_pins *pins =
		mdev_pins_create(&f->mediated->vdev, NULL, DMA_NONE);

	if (IS_ERR(pins))
		return PTR_ERR(pins);
	mdev_pins_destroy(pins);
	return 0;
}

static void nothing(struct mdev_fixture *f)
{
}

static void each_allocation_of_creating_fails(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;

	pinning_open(f, 1, false);
	KUNIT_EXPECT_GT(test, fixture_sweep(f, create_pins, nothing, nothing),
			0);
}

/* --- at one time --- */

static int pin_and_unpin(void *arg)
{
	struct mdev_fixture *f = arg;
	unsigned int n = 0;

	while (!kthread_should_stop()) {
		u64 first = n * 37 % 600, npages = 1 + n * 101 % 550;
		int ret =
			mdev_pins_pin(f->mediated->pins, first * P, npages, RW);

		WARN_ON(ret && ret != -EINVAL);
		if (!ret && n % 3)
			mdev_pins_unpin(f->mediated->pins, first * P, npages);
		n++;
		cond_resched();
	}
	return n;
}

static void pins_and_unmaps_at_one_time(struct kunit *test)
{
	struct mdev_fixture *f = test->priv;
	struct task_struct *threads[2];
	unsigned int i, rounds = 0;
	unsigned long end;

	pinning_open(f, PAGES, true);
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		threads[i] = kthread_run(pin_and_unpin, f, "kunit_pins%u", i);
		KUNIT_ASSERT_FALSE(test, IS_ERR(threads[i]));
	}
	for (end = jiffies + 2 * HZ; time_before(jiffies, end); rounds++) {
		KUNIT_EXPECT_EQ(test, pinning_unmap(f, 0, PAGES), PAGES);
		KUNIT_EXPECT_EQ(test, mdev_pins_npages(f->mediated->pins), 0);
		KUNIT_EXPECT_EQ(test,
				pinning_map(f, 0, f->memory, PAGES,
					    VFIO_DMA_MAP_FLAG_READ |
						    VFIO_DMA_MAP_FLAG_WRITE),
				0);
		usleep_range(1000, 20000);
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++)
		KUNIT_EXPECT_GT(test, kthread_stop(threads[i]), 1);
	KUNIT_EXPECT_GT(test, rounds, 1);
	KUNIT_EXPECT_EQ(test, pinning_unmap(f, 0, PAGES), PAGES);
	expect_pinned(f, 0, 0);
	for (i = 0; i < 600; i += 50)
		KUNIT_EXPECT_EQ(test, page_pins(f, i), 0);
}

static struct kunit_case pins_cases[] = {
	KUNIT_CASE(a_page_is_pinned_once_however_often_it_counts),
	KUNIT_CASE(what_is_found_is_what_the_process_has),
	KUNIT_CASE(a_pin_that_fails_pins_nothing),
	KUNIT_CASE(more_protection_than_before),
	KUNIT_CASE(an_unmap_and_a_close_drop_what_is_there),
	KUNIT_CASE(pages_have_dma_addresses),
	KUNIT_CASE(pages_for_which_there_is_no_address),
	KUNIT_CASE(creating_and_destroying),
	KUNIT_CASE(each_allocation_of_a_pin_fails),
	KUNIT_CASE(each_allocation_of_a_pin_with_dma_fails),
	KUNIT_CASE(each_allocation_of_creating_fails),
	KUNIT_CASE(pins_and_unmaps_at_one_time),
	{}
};

struct kunit_suite pins_suite = {
	.name = "vfio_mdev_pins",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = mdev_fixture_init,
	.exit = mdev_fixture_exit,
	.test_cases = pins_cases,
};
