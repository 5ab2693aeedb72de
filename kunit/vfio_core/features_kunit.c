// SPDX-License-Identifier: GPL-2.0
/* VFIO_DEVICE_FEATURE: what is checked before the driver hears of it. */
#include "fixture.h"

#define GET   VFIO_DEVICE_FEATURE_GET
#define SET   VFIO_DEVICE_FEATURE_SET
#define PROBE VFIO_DEVICE_FEATURE_PROBE

struct request {
	struct vfio_device_feature head;
	u64 data[4];
};

static long ask(struct fixture *f, struct file *device, u32 flags,
		struct request *request, size_t size)
{
	request->head.argsz = sizeof(request->head) + size;
	request->head.flags = flags;
	return file_ioctl_copy(f, device, VFIO_DEVICE_FEATURE, request,
			       sizeof(*request));
}

static void requests_that_are_malformed(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	struct request r = {};

	KUNIT_EXPECT_EQ(test, file_ioctl(device, VFIO_DEVICE_FEATURE, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, ask(f, device, GET | 999, &r, -1), -EINVAL);
	KUNIT_EXPECT_EQ(test, ask(f, device, GET | SET | 999, &r, 8), -EINVAL);
	KUNIT_EXPECT_EQ(test, ask(f, device, GET | (1 << 20) | 999, &r, 8),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, s->flags, 0u);
}

static void features_that_the_core_does_not_know(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	struct request r = {};

	s->answer = -ENOTTY;
	KUNIT_EXPECT_EQ(test, ask(f, device, GET | 999, &r, 24), -ENOTTY);
	KUNIT_EXPECT_EQ(test, s->flags, GET | 999u);
	KUNIT_EXPECT_EQ(test, s->argsz, 24ul);
	s->answer = 0;
	KUNIT_EXPECT_EQ(test, ask(f, device, GET | SET | PROBE | 998, &r, 0),
			0);
	KUNIT_EXPECT_EQ(test, s->flags, GET | SET | PROBE | 998u);
	KUNIT_EXPECT_EQ(test, s->argsz, 0ul);
}

static void a_device_without_operations(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_parent(f);
	struct file *device;
	struct request r = {};
	u32 feature;

	s->bare = true;
	sample_register(f, s);
	device = open_all(f, s);
	for (feature = VFIO_DEVICE_FEATURE_MIGRATION;
	     feature <= VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE; feature++)
		KUNIT_EXPECT_EQ(test, ask(f, device, GET | feature, &r, 32),
				-ENOTTY);
	for (feature = VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
	     feature <= VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT; feature++)
		KUNIT_EXPECT_EQ(test, ask(f, device, SET | feature, &r, 32),
				-ENOTTY);
}

static void migration_state(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	struct vfio_device_feature_mig_state *state;
	struct request r = {};

	state = (void *)r.data;
	KUNIT_EXPECT_EQ(
		test,
		ask(f, device, GET | VFIO_DEVICE_FEATURE_MIGRATION, &r, 8), 0);
	KUNIT_EXPECT_EQ(test, r.data[0], VFIO_MIGRATION_STOP_COPY);
	KUNIT_EXPECT_EQ(test,
			ask(f, device, SET | VFIO_DEVICE_FEATURE_MIGRATION, &r,
			    8),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			ask(f, device, GET | VFIO_DEVICE_FEATURE_MIGRATION, &r,
			    7),
			-EINVAL);
	KUNIT_EXPECT_EQ(test,
			ask(f, device,
			    PROBE | GET | VFIO_DEVICE_FEATURE_MIGRATION, &r, 0),
			0);

	s->state = VFIO_DEVICE_STATE_RUNNING;
	KUNIT_EXPECT_EQ(test,
			ask(f, device,
			    GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &r,
			    sizeof(*state)),
			0);
	KUNIT_EXPECT_EQ(test, state->device_state, VFIO_DEVICE_STATE_RUNNING);
	KUNIT_EXPECT_EQ(test, state->data_fd, -1);
	state->device_state = VFIO_DEVICE_STATE_STOP;
	state->data_fd = 77;
	KUNIT_EXPECT_EQ(test,
			ask(f, device,
			    SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &r,
			    sizeof(*state)),
			0);
	KUNIT_EXPECT_EQ(test, s->state, VFIO_DEVICE_STATE_STOP);
	KUNIT_EXPECT_EQ(test, state->data_fd, -1);
	s->answer = -EIO;
	state->device_state = VFIO_DEVICE_STATE_RUNNING;
	KUNIT_EXPECT_EQ(test,
			ask(f, device,
			    SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &r,
			    sizeof(*state)),
			-EIO);
	KUNIT_EXPECT_EQ(test,
			ask(f, device,
			    GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, &r,
			    sizeof(*state)),
			-EIO);
	s->answer = 0;
}

struct logging {
	struct request r;
	struct vfio_device_feature_dma_logging_range ranges[4];
};

static long start(struct fixture *f, struct file *device, u64 page_size,
		  u32 count,
		  const struct vfio_device_feature_dma_logging_range *ranges)
{
	struct logging l = {
		.r.head.argsz = sizeof(l.r),
		.r.head.flags = SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
	};
	struct vfio_device_feature_dma_logging_control *control =
		(void *)l.r.data;

	control->page_size = page_size;
	control->num_ranges = count;
	control->ranges = f->args + offsetof(struct logging, ranges);
	memcpy(l.ranges, ranges, min_t(u32, count, 4) * sizeof(*ranges));
	return file_ioctl_copy(f, device, VFIO_DEVICE_FEATURE, &l, sizeof(l));
}

static void logging_starts_on_ranges_that_make_sense(struct kunit *test)
{
	static const struct vfio_device_feature_dma_logging_range
		good[] = { { 0, 8192 }, { 8192, 4096 }, { 1ull << 40, 4096 } },
		over[] = { { 0, 8192 }, { 4096, 4096 } },
		odd[] = { { 0, 4097 } }, wrap[] = { { -4096ull, 8192 } };
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);
	struct request r = {};

	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 0, good), -EINVAL);
	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 1 << 20, good), -E2BIG);
	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 2, over), -EINVAL);
	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 1, odd), -EINVAL);
	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 1, wrap), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, start(f, device, 0, 1, good), -EINVAL);
	KUNIT_EXPECT_EQ(test, start(f, device, 12288, 1, good), -EINVAL);
	KUNIT_EXPECT_FALSE(test, s->logging);
	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 3, good), 0);
	KUNIT_EXPECT_TRUE(test, s->logging);
	KUNIT_EXPECT_EQ(test, s->log_ranges, 3u);
	KUNIT_EXPECT_EQ(test, s->log_page_size, 4096ull);
	KUNIT_EXPECT_EQ(test,
			ask(f, device,
			    SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, &r, 0),
			0);
	KUNIT_EXPECT_FALSE(test, s->logging);
	s->answer = -ENODATA;
	KUNIT_EXPECT_EQ(test, start(f, device, 4096, 3, good), -ENODATA);
	s->answer = 0;
}

static struct kunit_case features_cases[] = {
	KUNIT_CASE(requests_that_are_malformed),
	KUNIT_CASE(features_that_the_core_does_not_know),
	KUNIT_CASE(a_device_without_operations),
	KUNIT_CASE(migration_state),
	KUNIT_CASE(logging_starts_on_ranges_that_make_sense),
	{}
};

struct kunit_suite features_suite = {
	.name = "vfio_core_features",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = features_cases,
};
