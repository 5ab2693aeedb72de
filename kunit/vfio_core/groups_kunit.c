// SPDX-License-Identifier: GPL-2.0
/* Groups and containers: who may have what open, and in which order. */
#include "fixture.h"

static u32 status(struct fixture *f, struct file *group)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };

	KUNIT_ASSERT_EQ(f->test,
			file_ioctl_copy(f, group, VFIO_GROUP_GET_STATUS,
					&status, sizeof(status)),
			0);
	return status.flags;
}

/* Group::open() */
static void a_group_is_open_once(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	struct file *group = open_group(f, s);
	char path[24];

	snprintf(path, sizeof(path), "/dev/vfio/%d", sample_group_id(s));
	KUNIT_EXPECT_PTR_EQ(test, fixture_open(f, path), ERR_PTR(-EBUSY));
	fixture_close(f, group);
	KUNIT_EXPECT_FALSE(test, IS_ERR(fixture_open(f, path)));
}

static void the_status_of_a_group(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct file *group = open_group(f, sample_create(f));
	struct file *container = open_container(f);
	struct vfio_group_status small = { .argsz = sizeof(small) - 1 };

	KUNIT_EXPECT_EQ(test,
			file_ioctl_copy(f, group, VFIO_GROUP_GET_STATUS, &small,
					sizeof(small)),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_GROUP_GET_STATUS, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, status(f, group), VFIO_GROUP_FLAGS_VIABLE);
	KUNIT_ASSERT_EQ(test, set_container(f, group, container), 0);
	KUNIT_EXPECT_EQ(test, status(f, group),
			VFIO_GROUP_FLAGS_VIABLE |
				VFIO_GROUP_FLAGS_CONTAINER_SET);
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0),
			0);
	KUNIT_EXPECT_EQ(test, status(f, group), VFIO_GROUP_FLAGS_VIABLE);
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_DEVICE_GET_INFO, 0),
			-ENOTTY);
}

/* Group::set_container() */
static void what_is_no_container(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct file *group = open_group(f, sample_create(f));
	struct file *other = open_group(f, sample_create(f));
	int fd = -1;

	KUNIT_EXPECT_EQ(test,
			file_ioctl_copy(f, group, VFIO_GROUP_SET_CONTAINER, &fd,
					sizeof(fd)),
			-EBADF);
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_GROUP_SET_CONTAINER, 8),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, set_container(f, group, other), -EBADFD);
	KUNIT_EXPECT_EQ(test, set_container(f, group, group), -EBADFD);
	KUNIT_EXPECT_EQ(test, set_container(f, group, open_container(f)), 0);
	KUNIT_EXPECT_EQ(test, set_container(f, group, open_container(f)),
			-EINVAL);
}

/* Container::set_iommu() */
static void a_container_before_and_after_its_first_group(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct file *container = open_container(f);
	struct file *group = open_group(f, sample_create(f));
	struct file *other = open_group(f, sample_create(f));

	KUNIT_EXPECT_EQ(test, file_ioctl(container, VFIO_GET_API_VERSION, 0),
			VFIO_API_VERSION);
	KUNIT_EXPECT_EQ(test,
			file_ioctl(container, VFIO_CHECK_EXTENSION,
				   VFIO_TYPE1v2_IOMMU),
			1);
	KUNIT_EXPECT_EQ(
		test, file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		-EINVAL);
	KUNIT_EXPECT_EQ(test, file_ioctl(container, VFIO_IOMMU_GET_INFO, 0),
			-EINVAL);
	KUNIT_ASSERT_EQ(test, set_container(f, group, container), 0);
	KUNIT_EXPECT_EQ(test, file_ioctl(container, VFIO_SET_IOMMU, 0x7777),
			-ENODEV);
	KUNIT_EXPECT_EQ(
		test, file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		0);
	KUNIT_EXPECT_EQ(
		test, file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		-EINVAL);
	KUNIT_EXPECT_EQ(test, set_container(f, other, container), 0);
	/* The container stays usable with what is left, and is new when none is. */
	KUNIT_EXPECT_EQ(test, file_ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0),
			0);
	KUNIT_EXPECT_EQ(
		test, file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU),
		-EINVAL);
	KUNIT_EXPECT_EQ(test, file_ioctl(other, VFIO_GROUP_UNSET_CONTAINER, 0),
			0);
	KUNIT_EXPECT_EQ(test, file_ioctl(container, VFIO_IOMMU_GET_INFO, 0),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, set_container(f, group, container), 0);
	KUNIT_EXPECT_EQ(test,
			file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU),
			0);
}

/* Each file keeps what it needs, in whichever order they are closed. */
static void files_are_closed_in_any_order(struct kunit *test)
{
	static const u8 orders[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f);
	unsigned int i, j;

	for (i = 0; i < 6; i++) {
		struct file *files[3] = { open_container(f), open_group(f, s),
					  NULL };

		KUNIT_ASSERT_EQ(test, set_container(f, files[1], files[0]), 0);
		KUNIT_ASSERT_EQ(test,
				file_ioctl(files[0], VFIO_SET_IOMMU,
					   VFIO_TYPE1v2_IOMMU),
				0);
		files[2] = open_device(f, files[1], dev_name(s->parent));
		KUNIT_ASSERT_FALSE(test, IS_ERR(files[2]));
		KUNIT_EXPECT_EQ(test,
				file_ioctl(files[1], VFIO_GROUP_UNSET_CONTAINER,
					   0),
				-EBUSY);
		for (j = 0; j < 3; j++)
			fixture_close(f, files[orders[i][j]]);
		KUNIT_EXPECT_EQ(test, s->opens, i + 1);
		KUNIT_EXPECT_EQ(test, s->closes, i + 1);
	}
}

/* vfio_file_is_group() and what else others ask of a group's file */
static void what_others_ask_of_a_group_file(struct kunit *test)
{
	struct fixture *f = test->priv;
	struct sample_counts *s = sample_create(f),
			     *stranger = sample_create(f);
	struct file *group = open_group(f, s), *container = open_container(f);

	/* That is for sPAPR alone. */
	KUNIT_EXPECT_NULL(test, vfio_file_iommu_group(group));
	KUNIT_EXPECT_TRUE(test, vfio_file_is_group(group));
	KUNIT_EXPECT_FALSE(test, vfio_file_is_group(container));
	KUNIT_EXPECT_NULL(test, vfio_file_iommu_group(container));
	KUNIT_EXPECT_TRUE(test, vfio_file_has_dev(group, &s->sample->vdev));
	KUNIT_EXPECT_FALSE(test,
			   vfio_file_has_dev(group, &stranger->sample->vdev));
	KUNIT_EXPECT_FALSE(test,
			   vfio_file_has_dev(container, &s->sample->vdev));
	KUNIT_EXPECT_TRUE(test, vfio_file_enforced_coherent(container));
}

static struct kunit_case groups_cases[] = {
	KUNIT_CASE(a_group_is_open_once),
	KUNIT_CASE(the_status_of_a_group),
	KUNIT_CASE(what_is_no_container),
	KUNIT_CASE(a_container_before_and_after_its_first_group),
	KUNIT_CASE(files_are_closed_in_any_order),
	KUNIT_CASE(what_others_ask_of_a_group_file),
	{}
};

struct kunit_suite groups_suite = {
	.name = "vfio_core_groups",
	.suite_init = process_suite_init,
	.suite_exit = process_suite_exit,
	.init = fixture_init,
	.exit = fixture_exit,
	.test_cases = groups_cases,
};
