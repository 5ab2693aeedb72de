// SPDX-License-Identifier: GPL-2.0
/*
 * The bitmap of a report of DMA logging: what a driver marks by
 * iova_bitmap_set() against a plain model, bit by bit.
 */
#include <linux/bitmap.h>
#include <linux/uaccess.h>

#include "fixture.h"

#define BITMAP_AT 4096 /* in the user memory, behind the request */

static long report(struct fixture *f, struct file *device, u64 iova, u64 length,
		   u64 page_size, u64 bitmap)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_feature_dma_logging_report report;
	} r = {
		.head.argsz = sizeof(r),
		.head.flags = VFIO_DEVICE_FEATURE_GET |
			      VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
		.report = { iova, length, page_size, bitmap },
	};

	return file_ioctl_copy(f, device, VFIO_DEVICE_FEATURE, &r, sizeof(r));
}

/* Reports, and compares each bit and what lies around the bitmap. */
static void check(struct fixture *f, struct file *device,
		  struct sample_counts *s, u64 iova, u64 npages,
		  unsigned int shift, unsigned int misaligned)
{
	u64 bytes = DIV_ROUND_UP(npages, 64) * 8, i, j;
	unsigned long at = f->args + BITMAP_AT + misaligned;
	u8 *seen = kunit_kzalloc(f->test, bytes + 16, GFP_KERNEL);
	u8 *wanted = kunit_kzalloc(f->test, bytes + 16, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(f->test, seen);
	KUNIT_ASSERT_NOT_NULL(f->test, wanted);
	KUNIT_ASSERT_EQ(f->test,
			clear_user((void __user *)(at - 8), bytes + 16), 0);
	for (i = 0; i < s->ndirty; i++) {
		u64 first = max(s->dirty[i].iova, iova);
		u64 last = min(s->dirty[i].iova + s->dirty[i].size - 1,
			       iova + (npages << shift) - 1);

		for (j = (first - iova) >> shift;
		     first <= last && j <= (last - iova) >> shift; j++)
			wanted[8 + j / 8] |= 1 << (j % 8);
	}

	KUNIT_ASSERT_EQ(
		f->test,
		report(f, device, iova, npages << shift, 1ull << shift, at), 0);
	KUNIT_ASSERT_EQ(
		f->test,
		copy_from_user(seen, (void __user *)(at - 8), bytes + 16), 0);
	for (i = 0; i < bytes + 16; i++)
		KUNIT_ASSERT_EQ_MSG(f->test, seen[i], wanted[i],
				    "byte %lld of the bitmap of %lld pages",
				    (s64)i - 8, npages);
}

static void dirty(struct sample_counts *s, u64 iova, u64 size)
{
	s->dirty[s->ndirty].iova = iova;
	s->dirty[s->ndirty++].size = size;
}

static void single_pages_and_runs(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);

	dirty(s, 0x100000, 4096);
	dirty(s, 0x100000 + 63 * 4096, 2 * 4096);
	dirty(s, 0x100000 + 200 * 4096, 70 * 4096);
	check(f, device, s, 0x100000, 320, 12, 0);
	/* A byte dirties its page. */
	dirty(s, 0x100000 + 300 * 4096 + 17, 1);
	dirty(s, 0x100000 + 310 * 4096 - 1, 2);
	check(f, device, s, 0x100000, 320, 12, 0);
}

static void numbers_of_pages_that_fill_no_word(struct kunit *test)
{
	static const unsigned int sizes[] = { 1,  7,   8,   63,	 64,
					      65, 100, 127, 128, 129 };
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	unsigned int i;

	dirty(s, 0, 1ull << 30);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		check(f, device, s, 0x40000, sizes[i], 12, 0);
}

/* More than one page of bitmap holds, and more than is pinned at once. */
static void bitmaps_of_several_pages(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	u64 npages = 200 * 1024 * 8 - 64;

	dirty(s, 0, 4096);
	dirty(s, (8ull * 4096 - 1) << 12, 2 * 4096);
	dirty(s, 100000ull << 12, 90000ull << 12);
	dirty(s, (npages - 1) << 12, 4096);
	check(f, device, s, 0, npages, 12, 0);
	/* A bitmap that begins within a page. */
	check(f, device, s, 0, npages, 12, 1024);
	check(f, device, s, 0, npages, 12, 4088);
}

static void larger_pages(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);

	dirty(s, 5ull << 21, 1);
	dirty(s, (70ull << 21) - 4096, 8192);
	check(f, device, s, 0, 100, 21, 0);
	check(f, device, s, 2ull << 21, 98, 21, 0);
}

static void the_last_address_there_is(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	u64 iova = -(66ull << 12);

	dirty(s, iova, 4096);
	dirty(s, iova + (64ull << 12), 4096);
	check(f, device, s, iova, 65, 12, 0);
}

static void requests_that_are_refused(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	u64 at = f->args + BITMAP_AT;

	KUNIT_EXPECT_EQ(test, report(f, device, 0, 4096, 2048, at), -EINVAL);
	KUNIT_EXPECT_EQ(test, report(f, device, 0, 4096, 12288, at), -EINVAL);
	KUNIT_EXPECT_EQ(test, report(f, device, 0, 4096, 0, at), -EINVAL);
	KUNIT_EXPECT_EQ(test, report(f, device, -4096ull, 8192, 4096, at),
			-EOVERFLOW);
	KUNIT_EXPECT_EQ(test, report(f, device, 0, 4096, 4096, 4096), -EFAULT);
	s->answer = -ENODATA;
	KUNIT_EXPECT_EQ(test, report(f, device, 0, 4096, 4096, at), -ENODATA);
	s->answer = 0;
}

static struct kunit_case iova_bitmap_cases[] = {
	KUNIT_CASE(single_pages_and_runs),
	KUNIT_CASE(numbers_of_pages_that_fill_no_word),
	KUNIT_CASE(bitmaps_of_several_pages),
	KUNIT_CASE(larger_pages),
	KUNIT_CASE(the_last_address_there_is),
	KUNIT_CASE(requests_that_are_refused),
	{}
};

struct kunit_suite iova_bitmap_suite = {
	.name = "vfio_core_iova_bitmap",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = iova_bitmap_cases,
};
