// SPDX-License-Identifier: GPL-2.0
/*
 * The vfio_device of vfio_testdev: open and close, one page of region that is
 * read, written and mapped at offset 0, name matching, the driver's own
 * feature, and the way of an ioctl to its file.
 */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

/* Their addresses name the device sets. */
static char set_ids[VFIO_TESTDEV_MAX_SET + 1];

static int testdev_init_dev(struct vfio_device *vdev)
{
	struct testdev_slot *slot = testdev_slot_of(vdev->dev);
	const struct vfio_testdev_create *config = &slot->config;
	struct testdev *td = to_testdev(vdev);
	int ret = 0;

	atomic_inc(&slot->inits);
	if (config->set)
		ret = vfio_assign_device_set(vdev, &set_ids[config->set]);
	/* The core takes the device out of its set again. */
	if (config->init_errno)
		ret = config->init_errno;
	if (ret)
		return ret;

	td->region = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!td->region)
		return -ENOMEM;
	if (testdev_log_init(td)) {
		__free_page(td->region);
		return -ENOMEM;
	}
	mutex_init(&td->request_lock);
	testdev_dma_init(td);
	testdev_mig_init(td);
	if (config->mig_flags) {
		vdev->mig_ops = &testdev_mig_ops;
		vdev->migration_flags = config->mig_flags;
	}
	if (config->log)
		vdev->log_ops = &testdev_log_ops;

	kref_get(&slot->kref);
	td->slot = slot;
	return 0;
}

static void testdev_release_dev(struct vfio_device *vdev)
{
	struct testdev *td = to_testdev(vdev);
	struct testdev_slot *slot = td->slot;

	atomic_inc(&slot->releases);
	__free_page(td->region);
	testdev_log_free(td);
	xa_destroy(&td->pins);
	compat_free_device(vdev);
	testdev_slot_put(slot);
}

static int testdev_open(struct vfio_device *vdev)
{
	struct testdev *td = to_testdev(vdev);
	int ret = testdev_act_open(td);

	if (!ret)
		ret = READ_ONCE(td->slot->open_errno);
	if (ret) {
		testdev_dma_close(td);
		atomic_inc(&td->slot->open_failures);
		return ret;
	}
	atomic_inc(&td->slot->opens);
	WRITE_ONCE(td->slot->kvm_at_open, !!vdev->kvm);
	return 0;
}

static void testdev_set_request_fd(struct testdev *td, struct eventfd_ctx *ctx)
{
	mutex_lock(&td->request_lock);
	swap(td->request_fd, ctx);
	mutex_unlock(&td->request_lock);
	if (ctx)
		eventfd_ctx_put(ctx);
}

static void testdev_close(struct vfio_device *vdev)
{
	struct testdev *td = to_testdev(vdev);

	WRITE_ONCE(td->slot->kvm_at_close, !!vdev->kvm);
	testdev_act_close(td);
	testdev_dma_close(td);
	testdev_mig_close(td);
	testdev_log_close(td);
	testdev_set_request_fd(td, NULL);
	atomic_inc(&td->slot->closes);
}

static void testdev_request(struct vfio_device *vdev, unsigned int count)
{
	struct testdev *td = to_testdev(vdev);

	atomic_inc(&td->slot->requests);
	mutex_lock(&td->request_lock);
	if (td->request_fd)
		compat_eventfd_signal(td->request_fd);
	mutex_unlock(&td->request_lock);
}

/*
 * "NAME" and "NAME,tag" name this device; "NAME,bad" is an argument that the
 * driver rejects, which ends the search.
 */
static int testdev_match(struct vfio_device *vdev, char *buf)
{
	const char *name = dev_name(vdev->dev);
	size_t len = strlen(name);

	if (strncmp(buf, name, len))
		return 0;
	if (!strcmp(buf + len, ",bad"))
		return -EILSEQ;
	return !buf[len] || !strcmp(buf + len, ",tag");
}

static ssize_t testdev_read(struct vfio_device *vdev, char __user *buf,
			    size_t count, loff_t *ppos)
{
	struct testdev *td = to_testdev(vdev);

	return simple_read_from_buffer(buf, count, ppos,
				       page_address(td->region),
				       VFIO_TESTDEV_REGION_SIZE);
}

static ssize_t testdev_write(struct vfio_device *vdev, const char __user *buf,
			     size_t count, loff_t *ppos)
{
	struct testdev *td = to_testdev(vdev);

	return simple_write_to_buffer(page_address(td->region),
				      VFIO_TESTDEV_REGION_SIZE, ppos, buf,
				      count);
}

static int testdev_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct testdev *td = to_testdev(vdev);

	if (vma->vm_pgoff || vma_pages(vma) != 1)
		return -ENXIO;
	return vm_insert_page(vma, vma->vm_start, td->region);
}

static int testdev_feature(struct vfio_device *vdev, u32 flags,
			   void __user *arg, size_t argsz)
{
	struct testdev *td = to_testdev(vdev);
	int ret;

	if ((flags & VFIO_DEVICE_FEATURE_MASK) != VFIO_TESTDEV_FEATURE)
		return -ENOTTY;
	ret = vfio_check_feature(
		flags, argsz, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET,
		sizeof(td->feature));
	if (ret != 1)
		return ret;
	if (flags & VFIO_DEVICE_FEATURE_GET)
		return put_user(td->feature, (u64 __user *)arg);
	return get_user(td->feature, (u64 __user *)arg);
}

static long testdev_set_info(struct testdev *td, void __user *arg)
{
	struct vfio_device_set *set = td->vdev.dev_set;
	struct vfio_testdev_set info;

	mutex_lock(&set->lock);
	info.open_count = vfio_device_set_open_count(set);
	info.device_count = set->device_count;
	mutex_unlock(&set->lock);
	return copy_to_user(arg, &info, sizeof(info)) ? -EFAULT : 0;
}

static long testdev_request_fd(struct testdev *td, void __user *arg)
{
	struct eventfd_ctx *ctx;
	int fd;

	if (get_user(fd, (__s32 __user *)arg))
		return -EFAULT;
	ctx = eventfd_ctx_fdget(fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	testdev_set_request_fd(td, ctx);
	return 0;
}

static long testdev_ioctl(struct vfio_device *vdev, unsigned int cmd,
			  unsigned long uarg)
{
	struct testdev *td = to_testdev(vdev);
	void __user *arg = (void __user *)uarg;
	struct vfio_testdev_stats stats = {};

	switch (cmd) {
	case VFIO_TESTDEV_PIN:
	case VFIO_TESTDEV_UNPIN:
	case VFIO_TESTDEV_DMA_RW:
	case VFIO_TESTDEV_POLICY:
	case VFIO_TESTDEV_EVENTS:
		return testdev_dma_ioctl(td, cmd, arg);
	case VFIO_TESTDEV_SWEEP:
		return testdev_sweep_ioctl(td, arg);
	case VFIO_TESTDEV_DEV_STATS:
		testdev_slot_stats(td->slot, &stats);
		return copy_to_user(arg, &stats, sizeof(stats)) ? -EFAULT : 0;
	case VFIO_TESTDEV_SET:
		return testdev_set_info(td, arg);
	case VFIO_TESTDEV_REQUEST_FD:
		return testdev_request_fd(td, arg);
	case VFIO_TESTDEV_ECHO:
		return uarg;
	case VFIO_TESTDEV_NEXT_STATE:
	case VFIO_TESTDEV_MIG_FAIL:
		return testdev_mig_ioctl(td, cmd, arg);
	case VFIO_TESTDEV_LOG_CONFIG:
	case VFIO_TESTDEV_LOG_STATUS:
		return testdev_log_ioctl(td, cmd, arg);
	default:
		return testdev_helpers_ioctl(td, cmd, arg);
	}
}

const struct vfio_device_ops testdev_ops_full = {
	.name = VFIO_TESTDEV_NAME,
	.init = testdev_init_dev,
	.release = testdev_release_dev,
	.open_device = testdev_open,
	.close_device = testdev_close,
	.read = testdev_read,
	.write = testdev_write,
	.ioctl = testdev_ioctl,
	.mmap = testdev_mmap,
	.request = testdev_request,
	.match = testdev_match,
	.dma_unmap = testdev_dma_unmap,
	.device_feature = testdev_feature,
};

const struct vfio_device_ops testdev_ops_no_unmap = {
	.name = VFIO_TESTDEV_NAME,
	.init = testdev_init_dev,
	.release = testdev_release_dev,
	.open_device = testdev_open,
	.close_device = testdev_close,
	.read = testdev_read,
	.write = testdev_write,
	.ioctl = testdev_ioctl,
	.mmap = testdev_mmap,
	.request = testdev_request,
	.device_feature = testdev_feature,
};

const struct vfio_device_ops testdev_ops_bare = {
	.name = VFIO_TESTDEV_NAME,
	.init = testdev_init_dev,
	.release = testdev_release_dev,
};
