// SPDX-License-Identifier: GPL-2.0
/* VFIO devices: made, registered, opened, and gone while someone has them open. */
#include <linux/delay.h>
#include <linux/iommu.h>

#include "fixture.h"

/* vfio_init_device(), and its release by the last vfio_put_device() */
static void a_device_that_is_never_registered(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_parent(f);

	KUNIT_ASSERT_NOT_NULL(test, sample_alloc(f, s));
	KUNIT_EXPECT_EQ(test, s->inits, 1);
	KUNIT_EXPECT_EQ(test, s->releases, 0);
	sample_destroy(s);
	KUNIT_EXPECT_EQ(test, s->releases, 1);
}

static void a_device_whose_init_fails(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_parent(f);

	s->init_error = -ENOSPC;
	KUNIT_EXPECT_NULL(test, sample_alloc(f, s));
	KUNIT_EXPECT_EQ(test, s->inits, 1);
	KUNIT_EXPECT_EQ(test, s->releases, 0);
}

static void a_device_comes_and_goes(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_parent(f);
	unsigned int i;
	char path[24];

	for (i = 1; i <= 3; i++) {
		sample_register(f, s);
		snprintf(path, sizeof(path), "/dev/vfio/%d",
			 sample_group_id(s));
		KUNIT_EXPECT_NOT_NULL(test, s->sample->vdev.group);
		fixture_close(f, open_group(f, s));
		sample_destroy(s);
		KUNIT_EXPECT_EQ(test, s->releases, i);
		KUNIT_EXPECT_TRUE(test, IS_ERR(fixture_open(f, path)));
	}
}

/* Device::open(): the driver hears of the first and of the last. */
static void
the_driver_hears_of_the_first_open_and_the_last_close(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *container = open_container(f), *group = open_group(f, s),
		    *one, *two;

	KUNIT_EXPECT_PTR_EQ(test, open_device(f, group, dev_name(s->parent)),
			    ERR_PTR(-EINVAL));
	KUNIT_ASSERT_EQ(test, set_container(f, group, container), 0);
	KUNIT_EXPECT_PTR_EQ(test, open_device(f, group, dev_name(s->parent)),
			    ERR_PTR(-EINVAL));
	KUNIT_ASSERT_EQ(
		test, file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		0);
	KUNIT_EXPECT_PTR_EQ(test, open_device(f, group, "nobody"),
			    ERR_PTR(-ENODEV));
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, 8),
			-EFAULT);

	one = open_device(f, group, dev_name(s->parent));
	KUNIT_ASSERT_FALSE(test, IS_ERR(one));
	two = open_device(f, group, dev_name(s->parent));
	KUNIT_ASSERT_FALSE(test, IS_ERR(two));
	KUNIT_EXPECT_EQ(test, s->opens, 1);
	KUNIT_EXPECT_EQ(test, s->sample->vdev.open_count, 2);
	fixture_close(f, one);
	KUNIT_EXPECT_EQ(test, s->closes, 0);
	fixture_close(f, two);
	KUNIT_EXPECT_EQ(test, s->closes, 1);
	KUNIT_EXPECT_EQ(test, s->sample->vdev.open_count, 0);
}

static void an_open_that_the_driver_refuses(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *container = open_container(f), *group = open_group(f, s);

	KUNIT_ASSERT_EQ(test, set_container(f, group, container), 0);
	KUNIT_ASSERT_EQ(
		test, file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		0);
	s->open_error = -EL2HLT;
	KUNIT_EXPECT_PTR_EQ(test, open_device(f, group, dev_name(s->parent)),
			    ERR_PTR(-EL2HLT));
	KUNIT_EXPECT_EQ(test, s->sample->vdev.open_count, 0);
	s->open_error = 0;
	KUNIT_EXPECT_FALSE(test,
			   IS_ERR(open_device(f, group, dev_name(s->parent))));
}

static void ioctls_go_to_the_driver(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s);

	s->answer = 4242;
	KUNIT_EXPECT_EQ(test, file_ioctl(device, VFIO_DEVICE_RESET, 0), 4242);
	KUNIT_EXPECT_EQ(test, s->cmd, VFIO_DEVICE_RESET);
	s->answer = -EXFULL;
	KUNIT_EXPECT_EQ(test, file_ioctl(device, 0x1234, 0), -EXFULL);
	KUNIT_EXPECT_EQ(test, s->cmd, 0x1234u);
	s->answer = 0;
}

static int unregister(void *arg)
{
	struct sample_counts *s = arg;

	vfio_unregister_group_dev(&s->sample->vdev);
	s->registered = false;
	while (!kthread_should_stop())
		msleep(1);
	return 0;
}

/* vfio_unregister_group_dev() asks, and waits for the last file. */
static void unregistering_waits_for_who_has_it_open(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *device = open_all(f, s), *group = f->files[1];
	struct task_struct *task;
	unsigned int i;

	task = kthread_run(unregister, s, "unregister");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	for (i = 0; i < 2000 && !READ_ONCE(s->requests); i++)
		msleep(1);
	KUNIT_EXPECT_GE(test, READ_ONCE(s->requests), 1);
	KUNIT_EXPECT_TRUE(test, READ_ONCE(s->registered));
	KUNIT_EXPECT_EQ(test, s->closes, 0);
	/* It works until it is closed, but nobody else gets it. */
	KUNIT_EXPECT_EQ(test, file_ioctl(device, VFIO_DEVICE_RESET, 0), 0);
	KUNIT_EXPECT_PTR_EQ(test, open_device(f, group, dev_name(s->parent)),
			    ERR_PTR(-ENODEV));
	fixture_close(f, device);
	kthread_stop(task);
	KUNIT_EXPECT_FALSE(test, s->registered);
	KUNIT_EXPECT_EQ(test, s->closes, 1);
	KUNIT_EXPECT_PTR_EQ(test, open_device(f, group, dev_name(s->parent)),
			    ERR_PTR(-ENODEV));
	KUNIT_EXPECT_EQ(test, s->releases, 0);
}

/* vfio_assign_device_set() */
static void devices_of_a_set_are_counted_together(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s[2] = { sample_parent(f), sample_parent(f) };
	struct vfio_device_set *set;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_NOT_NULL(test, sample_alloc(f, s[i]));
		KUNIT_ASSERT_EQ(test,
				vfio_assign_device_set(&s[i]->sample->vdev, f),
				0);
		KUNIT_ASSERT_EQ(test,
				vfio_register_emulated_iommu_dev(
					&s[i]->sample->vdev),
				0);
		s[i]->registered = true;
	}
	set = s[0]->sample->vdev.dev_set;
	KUNIT_EXPECT_PTR_EQ(test, s[1]->sample->vdev.dev_set, set);
	KUNIT_EXPECT_EQ(test, set->device_count, 2u);
	KUNIT_EXPECT_PTR_EQ(test, set->set_id, (void *)f);
	open_all(f, s[0]);
	open_all(f, s[1]);
	mutex_lock(&set->lock);
	KUNIT_EXPECT_EQ(test, vfio_device_set_open_count(set), 2u);
	mutex_unlock(&set->lock);
}

static struct kunit_case devices_cases[] = {
	KUNIT_CASE(a_device_that_is_never_registered),
	KUNIT_CASE(a_device_whose_init_fails),
	KUNIT_CASE(a_device_comes_and_goes),
	KUNIT_CASE(the_driver_hears_of_the_first_open_and_the_last_close),
	KUNIT_CASE(an_open_that_the_driver_refuses),
	KUNIT_CASE(ioctls_go_to_the_driver),
	KUNIT_CASE(unregistering_waits_for_who_has_it_open),
	KUNIT_CASE(devices_of_a_set_are_counted_together),
	{}
};

struct kunit_suite devices_suite = {
	.name = "vfio_core_devices",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = devices_cases,
};
