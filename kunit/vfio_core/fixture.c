// SPDX-License-Identifier: GPL-2.0
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "fixture.h"

#define MAX_SAMPLES 4

struct mm_struct *process_mm;

/* Not freed with the test: what is left is looked at when it has ended. */
static struct sample_counts all_counts[MAX_SAMPLES];

static struct sample_counts *counts_of(struct vfio_device *vdev)
{
	return dev_get_drvdata(vdev->dev);
}

static struct file *sample_set_state(struct vfio_device *vdev,
				     enum vfio_device_mig_state state)
{
	struct sample_counts *counts = counts_of(vdev);

	if (counts->answer)
		return ERR_PTR(counts->answer);
	counts->state = state;
	return NULL;
}

static int sample_get_state(struct vfio_device *vdev,
			    enum vfio_device_mig_state *state)
{
	*state = counts_of(vdev)->state;
	return counts_of(vdev)->answer;
}

static const struct vfio_migration_ops sample_mig_ops = {
	.migration_set_state = sample_set_state,
	.migration_get_state = sample_get_state,
};

static int sample_log_start(struct vfio_device *vdev,
			    struct rb_root_cached *ranges, u32 count,
			    u64 *page_size)
{
	struct sample_counts *counts = counts_of(vdev);

	if (counts->answer)
		return counts->answer;
	counts->logging = true;
	counts->log_ranges = count;
	counts->log_page_size = *page_size;
	return 0;
}

static int sample_log_stop(struct vfio_device *vdev)
{
	counts_of(vdev)->logging = false;
	return 0;
}

/* Called for windows of what was asked for; each dirty range may cross them. */
static int sample_log_read(struct vfio_device *vdev, unsigned long iova,
			   unsigned long length, struct iova_bitmap *bitmap)
{
	struct sample_counts *counts = counts_of(vdev);
	u64 window_last = iova + length - 1;
	unsigned int i;

	if (counts->answer)
		return counts->answer;
	for (i = 0; i < counts->ndirty; i++) {
		u64 first = max_t(u64, iova, counts->dirty[i].iova);
		u64 last = min(window_last, counts->dirty[i].iova +
						    counts->dirty[i].size - 1);

		if (first <= last && last >= first)
			iova_bitmap_set(bitmap, first, last - first + 1);
	}
	return 0;
}

static const struct vfio_log_ops sample_log_ops = {
	.log_start = sample_log_start,
	.log_stop = sample_log_stop,
	.log_read_and_clear = sample_log_read,
};

static int sample_init(struct vfio_device *vdev)
{
	struct sample *sample = container_of(vdev, struct sample, vdev);
	struct sample_counts *counts = counts_of(vdev);

	counts->inits++;
	if (counts->init_error)
		return counts->init_error;
	sample->counts = counts;
	if (!counts->bare) {
		vdev->migration_flags = counts->migration_flags;
		vdev->mig_ops = &sample_mig_ops;
		vdev->log_ops = &sample_log_ops;
	}
	return 0;
}

static void sample_release(struct vfio_device *vdev)
{
	container_of(vdev, struct sample, vdev)->counts->releases++;
	vfio_free_device(vdev);
}

static int sample_open(struct vfio_device *vdev)
{
	struct sample_counts *counts = counts_of(vdev);

	if (counts->open_error)
		return counts->open_error;
	counts->opens++;
	return 0;
}

static void sample_close(struct vfio_device *vdev)
{
	counts_of(vdev)->closes++;
}

static void sample_request(struct vfio_device *vdev, unsigned int count)
{
	counts_of(vdev)->requests++;
}

static long sample_ioctl(struct vfio_device *vdev, unsigned int cmd,
			 unsigned long arg)
{
	counts_of(vdev)->cmd = cmd;
	return counts_of(vdev)->answer;
}

static int sample_feature(struct vfio_device *vdev, u32 flags, void __user *arg,
			  size_t argsz)
{
	struct sample_counts *counts = counts_of(vdev);

	counts->flags = flags;
	counts->argsz = argsz;
	return counts->answer;
}

static const struct vfio_device_ops sample_ops = {
	.name = "kunit-sample",
	.init = sample_init,
	.release = sample_release,
	.open_device = sample_open,
	.close_device = sample_close,
	.request = sample_request,
	.ioctl = sample_ioctl,
	.device_feature = sample_feature,
};

/*
 * vfio.ko keeps the module of the driver that a device is bound to. The parents
 * of samples are bound to none; they only say so.
 */
static struct device_driver sample_driver = {
	.name = "vfio_kunit",
	.owner = THIS_MODULE,
};

int fixture_init(struct kunit *test)
{
	struct fixture *f = kunit_kzalloc(test, sizeof(*f), GFP_KERNEL);

	if (!f)
		return -ENOMEM;
	f->test = test;
	memset(all_counts, 0, sizeof(all_counts));
	process_enter();
	test->priv = f;
	f->args = vm_mmap(NULL, 0, ARGS_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, 0);
	return IS_ERR_VALUE(f->args) ? -ENOMEM : 0;
}

void fixture_exit(struct kunit *test)
{
	struct fixture *f = test->priv;
	unsigned int i;

	if (!f)
		return;
	for (i = ARRAY_SIZE(f->files); i > 0; i--)
		if (f->files[i - 1])
			fixture_close(f, f->files[i - 1]);
	for (i = 0; i < MAX_SAMPLES; i++) {
		struct sample_counts *counts = &all_counts[i];

		if (!counts->parent)
			continue;
		sample_destroy(counts);
		KUNIT_EXPECT_EQ(test, counts->releases,
				counts->inits - !!counts->init_error);
		KUNIT_EXPECT_EQ(test, counts->closes, counts->opens);
		counts->parent->driver = NULL;
		root_device_unregister(counts->parent);
	}
	vm_munmap(f->args, ARGS_SIZE);
	process_leave();
}

struct sample_counts *sample_parent(struct fixture *f)
{
	struct sample_counts *counts;
	unsigned int i;
	char name[24];

	for (i = 0; i < MAX_SAMPLES && all_counts[i].parent; i++)
		;
	KUNIT_ASSERT_LT(f->test, i, MAX_SAMPLES);
	counts = &all_counts[i];
	snprintf(name, sizeof(name), "vfio_kunit%u", i);
	/* Not the module's: suites run before it is in sysfs. */
	counts->parent = __root_device_register(name, NULL);
	if (IS_ERR(counts->parent)) {
		counts->parent = NULL;
		KUNIT_ASSERT_TRUE(f->test, false);
	}
	counts->parent->driver = &sample_driver;
	dev_set_drvdata(counts->parent, counts);
	return counts;
}

struct sample *sample_alloc(struct fixture *f, struct sample_counts *counts)
{
	struct sample *sample =
		vfio_alloc_device(sample, vdev, counts->parent, &sample_ops);

	if (IS_ERR(sample))
		return NULL;
	counts->sample = sample;
	return sample;
}

void sample_register(struct fixture *f, struct sample_counts *counts)
{
	KUNIT_ASSERT_NOT_NULL(f->test, sample_alloc(f, counts));
	KUNIT_ASSERT_EQ(f->test,
			vfio_register_emulated_iommu_dev(&counts->sample->vdev),
			0);
	counts->registered = true;
}

struct sample_counts *sample_create(struct fixture *f)
{
	struct sample_counts *counts = sample_parent(f);

	counts->migration_flags = VFIO_MIGRATION_STOP_COPY;
	sample_register(f, counts);
	return counts;
}

void sample_destroy(struct sample_counts *counts)
{
	struct sample *sample = counts->sample;

	if (!sample)
		return;
	if (counts->registered)
		vfio_unregister_group_dev(&sample->vdev);
	counts->registered = false;
	counts->sample = NULL;
	vfio_put_device(&sample->vdev);
}

int sample_group_id(struct sample_counts *counts)
{
	struct iommu_group *group = iommu_group_get(counts->parent);
	int id;

	if (!group)
		return -ENODEV;
	id = iommu_group_id(group);
	iommu_group_put(group);
	return id;
}

static struct file *keep(struct fixture *f, struct file *file)
{
	unsigned int i;

	if (IS_ERR(file))
		return file;
	for (i = 0; i < ARRAY_SIZE(f->files) && f->files[i]; i++)
		;
	KUNIT_ASSERT_LT(f->test, i, ARRAY_SIZE(f->files));
	f->files[i] = file;
	return file;
}

struct file *fixture_open(struct fixture *f, const char *path)
{
	return keep(f, filp_open(path, O_RDWR, 0));
}

void fixture_close(struct fixture *f, struct file *file)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(f->files); i++)
		if (f->files[i] == file)
			f->files[i] = NULL;
	fput(file);
	/* A device's file holds its group's, and that one the container's. */
	flush_delayed_fput();
	flush_delayed_fput();
	flush_delayed_fput();
}

struct file *open_container(struct fixture *f)
{
	struct file *file = fixture_open(f, "/dev/vfio/vfio");

	KUNIT_ASSERT_FALSE(f->test, IS_ERR(file));
	return file;
}

struct file *open_group(struct fixture *f, struct sample_counts *counts)
{
	struct file *file;
	char path[24];

	snprintf(path, sizeof(path), "/dev/vfio/%d", sample_group_id(counts));
	file = fixture_open(f, path);
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(file));
	return file;
}

long file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return file->f_op->unlocked_ioctl(file, cmd, arg);
}

long file_ioctl_copy(struct fixture *f, struct file *file, unsigned int cmd,
		     void *arg, size_t size)
{
	void __user *user = (void __user *)f->args;
	long ret;

	KUNIT_ASSERT_EQ(f->test, copy_to_user(user, arg, size), 0);
	ret = file_ioctl(file, cmd, f->args);
	KUNIT_ASSERT_EQ(f->test, copy_from_user(arg, user, size), 0);
	return ret;
}

struct file *open_device(struct fixture *f, struct file *group,
			 const char *name)
{
	struct file *file;
	long fd;

	KUNIT_ASSERT_EQ(f->test,
			copy_to_user((void __user *)f->args, name,
				     strlen(name) + 1),
			0);
	fd = file_ioctl(group, VFIO_GROUP_GET_DEVICE_FD, f->args);
	if (fd < 0)
		return ERR_PTR(fd);
	file = fget(fd);
	close_fd(fd);
	KUNIT_ASSERT_NOT_NULL(f->test, file);
	return keep(f, file);
}

long set_container(struct fixture *f, struct file *group,
		   struct file *container)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	long ret;

	KUNIT_ASSERT_GE(f->test, fd, 0);
	fd_install(fd, get_file(container));
	ret = file_ioctl_copy(f, group, VFIO_GROUP_SET_CONTAINER, &fd,
			      sizeof(fd));
	close_fd(fd);
	flush_delayed_fput();
	return ret;
}

struct file *open_all(struct fixture *f, struct sample_counts *counts)
{
	struct file *container = open_container(f);
	struct file *group = open_group(f, counts);
	struct file *device;

	KUNIT_ASSERT_EQ(f->test, set_container(f, group, container), 0);
	KUNIT_ASSERT_EQ(
		f->test,
		file_ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), 0);
	device = open_device(f, group, dev_name(counts->parent));
	KUNIT_ASSERT_FALSE(f->test, IS_ERR(device));
	return device;
}
