// SPDX-License-Identifier: GPL-2.0
/*
 * Dma logging: what log_start() was given is kept to be read back, and the
 * ranges that userspace chose are reported dirty each time.
 */
#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

static int testdev_log_start(struct vfio_device *vdev,
			     struct rb_root_cached *ranges, u32 nnodes,
			     u64 *page_size)
{
	struct testdev_logging *log = &to_testdev(vdev)->log;
	struct rb_node *rb;
	u32 n = 0;
	int ret;

	mutex_lock(&log->log_lock);
	ret = log->config.start_errno;
	if (!ret && log->status.active)
		ret = -EALREADY;
	if (ret)
		goto out;
	/* In ascending order; nnodes must be their number. */
	for (rb = rb_first_cached(ranges); rb; rb = rb_next(rb)) {
		struct interval_tree_node *node =
			rb_entry(rb, struct interval_tree_node, rb);

		if (n < VFIO_TESTDEV_MAX_RANGES) {
			log->ranges[n].iova = node->start;
			log->ranges[n].size = node->last - node->start + 1;
		}
		n++;
	}
	if (n != nnodes) {
		ret = -EBADMSG;
		goto out;
	}
	log->status.nranges = n;
	log->status.page_size = *page_size;
	log->status.active = 1;
	log->status.starts++;
	if (log->config.page_size)
		*page_size = log->config.page_size;
out:
	mutex_unlock(&log->log_lock);
	return ret;
}

static int testdev_log_stop(struct vfio_device *vdev)
{
	struct testdev_logging *log = &to_testdev(vdev)->log;
	int ret;

	mutex_lock(&log->log_lock);
	ret = log->config.stop_errno;
	if (!ret && !log->status.active)
		ret = -ENOENT;
	if (!ret) {
		log->status.active = 0;
		log->status.stops++;
	}
	mutex_unlock(&log->log_lock);
	return ret;
}

static int testdev_log_read(struct vfio_device *vdev, unsigned long iova,
			    unsigned long size, struct iova_bitmap *bitmap)
{
	struct testdev_logging *log = &to_testdev(vdev)->log;
	u64 last = iova + size - 1;
	int ret;
	u32 i;

	mutex_lock(&log->log_lock);
	ret = log->config.read_errno;
	if (!ret && !log->status.active)
		ret = -ENOENT;
	if (ret)
		goto out;
	if (!log->status.reads)
		log->status.first_iova = iova;
	else if (iova != log->next_iova)
		log->status.gaps++;
	log->next_iova = iova + size;
	log->status.reads++;
	log->status.read_size += size;

	for (i = 0; size && i < log->config.ndirty; i++) {
		u64 first = max_t(u64, log->dirty[i].iova, iova);
		u64 end =
			min(log->dirty[i].iova + log->dirty[i].size - 1, last);

		if (first <= end)
			iova_bitmap_set(bitmap, first, end - first + 1);
	}
out:
	mutex_unlock(&log->log_lock);
	return ret;
}

const struct vfio_log_ops testdev_log_ops = {
	.log_start = testdev_log_start,
	.log_stop = testdev_log_stop,
	.log_read_and_clear = testdev_log_read,
};

int testdev_log_init(struct testdev *td)
{
	struct testdev_logging *log = &td->log;

	mutex_init(&log->log_lock);
	log->dirty = kvcalloc(VFIO_TESTDEV_MAX_RANGES, sizeof(*log->dirty),
			      GFP_KERNEL);
	log->ranges = kvcalloc(VFIO_TESTDEV_MAX_RANGES, sizeof(*log->ranges),
			       GFP_KERNEL);
	if (!log->dirty || !log->ranges) {
		testdev_log_free(td);
		return -ENOMEM;
	}
	return 0;
}

void testdev_log_free(struct testdev *td)
{
	kvfree(td->log.dirty);
	kvfree(td->log.ranges);
}

void testdev_log_close(struct testdev *td)
{
	struct testdev_logging *log = &td->log;

	mutex_lock(&log->log_lock);
	memset(&log->config, 0, sizeof(log->config));
	memset(&log->status, 0, sizeof(log->status));
	mutex_unlock(&log->log_lock);
}

static bool errno_or_zero(int value)
{
	return value <= 0 && value >= -MAX_ERRNO;
}

static long ioctl_log_config(struct testdev *td, void __user *arg)
{
	struct testdev_logging *log = &td->log;
	struct vfio_testdev_log_config config;
	struct vfio_testdev_range *dirty;
	u32 i;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	if (config.ndirty > VFIO_TESTDEV_MAX_RANGES ||
	    !errno_or_zero(config.start_errno) ||
	    !errno_or_zero(config.stop_errno) ||
	    !errno_or_zero(config.read_errno))
		return -EINVAL;
	dirty = kvcalloc(VFIO_TESTDEV_MAX_RANGES, sizeof(*dirty), GFP_KERNEL);
	if (!dirty)
		return -ENOMEM;
	if (copy_from_user(dirty, u64_to_user_ptr(config.dirty),
			   config.ndirty * sizeof(*dirty))) {
		kvfree(dirty);
		return -EFAULT;
	}
	for (i = 0; i < config.ndirty; i++) {
		if (!dirty[i].size ||
		    dirty[i].iova + dirty[i].size - 1 < dirty[i].iova) {
			kvfree(dirty);
			return -EINVAL;
		}
	}
	mutex_lock(&log->log_lock);
	swap(log->dirty, dirty);
	log->config = config;
	log->status.reads = 0;
	log->status.gaps = 0;
	log->status.first_iova = 0;
	log->status.read_size = 0;
	mutex_unlock(&log->log_lock);
	kvfree(dirty);
	return 0;
}

static long ioctl_log_status(struct testdev *td, void __user *arg)
{
	struct testdev_logging *log = &td->log;
	struct vfio_testdev_log_status status;
	struct vfio_testdev_range *ranges;
	u64 user_ranges;
	size_t size;
	int ret = 0;

	if (copy_from_user(&status, arg, sizeof(status)))
		return -EFAULT;
	user_ranges = status.ranges;
	ranges = kvcalloc(VFIO_TESTDEV_MAX_RANGES, sizeof(*ranges), GFP_KERNEL);
	if (!ranges)
		return -ENOMEM;
	mutex_lock(&log->log_lock);
	status = log->status;
	size = min_t(u32, status.nranges, VFIO_TESTDEV_MAX_RANGES) *
	       sizeof(*ranges);
	memcpy(ranges, log->ranges, size);
	mutex_unlock(&log->log_lock);

	status.ranges = user_ranges;
	if (user_ranges &&
	    copy_to_user(u64_to_user_ptr(user_ranges), ranges, size))
		ret = -EFAULT;
	kvfree(ranges);
	if (!ret && copy_to_user(arg, &status, sizeof(status)))
		ret = -EFAULT;
	return ret;
}

long testdev_log_ioctl(struct testdev *td, unsigned int cmd, void __user *arg)
{
	if (cmd == VFIO_TESTDEV_LOG_CONFIG)
		return ioctl_log_config(td, arg);
	return ioctl_log_status(td, arg);
}
