// SPDX-License-Identifier: GPL-2.0
/* Dirty tracking: whose pages count as written. */
#include <linux/uaccess.h>

#include "fixture.h"

#define P  PAGE_SIZE
#define AT 0x100000ull
#define RW (IOMMU_READ | IOMMU_WRITE)

static long tracking(struct fixture *f, u32 flags)
{
	struct vfio_iommu_type1_dirty_bitmap dirty = { .argsz = sizeof(dirty),
						       .flags = flags };

	return fixture_ioctl(f, VFIO_IOMMU_DIRTY_PAGES, &dirty, sizeof(dirty));
}

/* The bitmap of up to 64 pages; it lies in the page of arguments. */
static u64 dirty_bits(struct fixture *f, u64 iova, unsigned int npages)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap dirty;
		struct vfio_iommu_type1_dirty_bitmap_get get;
		u64 bits;
	} __packed arg = {
		.dirty.argsz = sizeof(arg.dirty) + sizeof(arg.get),
		.dirty.flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
		.get.iova = iova,
		.get.size = npages * P,
		.get.bitmap.pgsize = P,
		.get.bitmap.size = 8,
		.get.bitmap.data =
			(void __user *)(f->args + offsetof(typeof(arg), bits)),
	};

	KUNIT_ASSERT_EQ(
		f->test,
		fixture_ioctl(f, VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg)), 0);
	return arg.bits;
}

/* A hardware group could have written anything. */
static void hardware_dirties_all(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 10);

	KUNIT_ASSERT_EQ(test, fixture_attach(f, fixture_device(0, 0)), 0);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 10 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_START),
			0);
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10), 0x3ffull);
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10), 0x3ffull);
	KUNIT_EXPECT_EQ(test, tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
}

/* An emulated device only what it pinned or copied to. */
static void emulated_dirties_what_it_pinned(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned long m = fixture_memory(f, 10);
	struct page *pages[2];
	u8 data[2] = { 1, 2 };

	fixture_emulated(f);
	KUNIT_ASSERT_EQ(test, fixture_map(f, AT, m, 10 * P, READ_WRITE), 0);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT + P, 1, RW, pages), 1);
	KUNIT_ASSERT_EQ(test, tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_START),
			0);
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10), 0x2ull);
	KUNIT_ASSERT_EQ(test, fixture_pin(f, AT + 4 * P, 2, RW, pages), 2);
	KUNIT_EXPECT_EQ(
		test, type1_dma_rw(f->type1, AT + 8 * P - 1, data, 2, true), 0);
	KUNIT_EXPECT_EQ(test,
			type1_dma_rw(f->type1, AT + 9 * P, data, 2, false), 0);
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10), 0x1b2ull);
	/* What stays pinned stays dirty; what was copied was reported. */
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10), 0x32ull);
	fixture_unpin(f, AT + 4 * P, 2);
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10) & ~0x30ull, 0x2ull);
	KUNIT_EXPECT_EQ(test, dirty_bits(f, AT, 10), 0x2ull);
	KUNIT_EXPECT_EQ(test, tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
}

static void requests_that_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;

	KUNIT_EXPECT_EQ(test, tracking(f, 0), -EINVAL);
	KUNIT_EXPECT_EQ(test,
			tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_START |
					    VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), 0);
	fixture_reopen(f, VFIO_TYPE1_IOMMU);
	KUNIT_EXPECT_EQ(test, tracking(f, VFIO_IOMMU_DIRTY_PAGES_FLAG_START),
			-EACCES);
}

static struct kunit_case dirty_cases[] = {
	KUNIT_CASE(hardware_dirties_all),
	KUNIT_CASE(emulated_dirties_what_it_pinned),
	KUNIT_CASE(requests_that_are_refused),
	{}
};

struct kunit_suite dirty_suite = {
	.name = "vfio_type1_dirty",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = dirty_cases,
};
