// SPDX-License-Identifier: GPL-2.0
/*
 * A device whose state is the page of its region. It walks the arcs that
 * vfio_mig_get_next_state() names; STOP_COPY gives a file to read that page
 * from, RESUMING one to write it to. A file ends with its state: read and write
 * fail with ENODEV from then on.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

/* Owned by its file. */
struct mig_file {
	struct mutex lock; /* all of it */
	bool ended;
	bool save;
	size_t size; /* that the file holds */
	u8 data[VFIO_TESTDEV_REGION_SIZE];
};

static ssize_t mig_file_read(struct file *file, char __user *buf, size_t count,
			     loff_t *ppos)
{
	struct mig_file *mf = file->private_data;
	ssize_t ret;

	mutex_lock(&mf->lock);
	if (mf->ended)
		ret = -ENODEV;
	else
		ret = simple_read_from_buffer(buf, count, &file->f_pos,
					      mf->data, mf->size);
	mutex_unlock(&mf->lock);
	return ret;
}

static ssize_t mig_file_write(struct file *file, const char __user *buf,
			      size_t count, loff_t *ppos)
{
	struct mig_file *mf = file->private_data;
	ssize_t ret;

	mutex_lock(&mf->lock);
	if (mf->ended) {
		ret = -ENODEV;
	} else {
		ret = simple_write_to_buffer(mf->data, sizeof(mf->data),
					     &file->f_pos, buf, count);
		if (ret > 0)
			mf->size = file->f_pos;
	}
	mutex_unlock(&mf->lock);
	return ret;
}

static int mig_file_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

/* The owner keeps this module until the last data file is closed. */
static const struct file_operations mig_file_fops = {
	.owner = THIS_MODULE,
	.read = mig_file_read,
	.write = mig_file_write,
	.release = mig_file_release,
};

static struct file *mig_file_create(struct testdev *td, bool save)
{
	struct mig_file *mf = kzalloc(sizeof(*mf), GFP_KERNEL);
	struct file *file;

	if (!mf)
		return ERR_PTR(-ENOMEM);
	mutex_init(&mf->lock);
	mf->save = save;
	if (save) {
		memcpy(mf->data, page_address(td->region), sizeof(mf->data));
		mf->size = sizeof(mf->data);
	}
	file = anon_inode_getfile("[vfio_testdev-mig]", &mig_file_fops, mf,
				  save ? O_RDONLY : O_WRONLY);
	if (IS_ERR(file)) {
		kfree(mf);
		return file;
	}
	stream_open(file_inode(file), file);
	/* One reference for the caller, one for td->mig.data. */
	get_file(file);
	td->mig.data = file;
	return file;
}

/* Leaves STOP_COPY or RESUMING. A state that came in whole becomes the device's. */
static int mig_file_end(struct testdev *td)
{
	struct mig_file *mf;
	int ret = 0;

	if (!td->mig.data)
		return 0;
	mf = td->mig.data->private_data;
	mutex_lock(&mf->lock);
	mf->ended = true;
	if (!mf->save && mf->size == sizeof(mf->data))
		memcpy(page_address(td->region), mf->data, sizeof(mf->data));
	else if (!mf->save && mf->size)
		ret = -EINVAL;
	mutex_unlock(&mf->lock);
	fput(td->mig.data);
	td->mig.data = NULL;
	return ret;
}

/* One arc. Returns the file that userspace gets, or NULL. */
static struct file *mig_step(struct testdev *td,
			     enum vfio_device_mig_state next)
{
	int ret = mig_file_end(td);

	if (ret)
		return ERR_PTR(ret);
	if (next == VFIO_DEVICE_STATE_STOP_COPY)
		return mig_file_create(td, true);
	if (next == VFIO_DEVICE_STATE_RESUMING)
		return mig_file_create(td, false);
	return NULL;
}

static struct file *testdev_set_state(struct vfio_device *vdev,
				      enum vfio_device_mig_state target)
{
	struct testdev *td = to_testdev(vdev);
	enum vfio_device_mig_state next;
	struct file *file = NULL;
	int ret;

	mutex_lock(&td->mig.mig_lock);
	ret = td->mig.set_errno;
	while (!ret && td->mig.state != target) {
		ret = vfio_mig_get_next_state(vdev, td->mig.state, target,
					      &next);
		if (ret)
			break;
		file = mig_step(td, next);
		if (IS_ERR(file)) {
			ret = PTR_ERR(file);
			break;
		}
		td->mig.state = next;
		/* Only the last arc can make a file for userspace. */
		if (file && next != target) {
			fput(file);
			ret = -EIO;
		}
	}
	mutex_unlock(&td->mig.mig_lock);
	return ret ? ERR_PTR(ret) : file;
}

static int testdev_get_state(struct vfio_device *vdev,
			     enum vfio_device_mig_state *state)
{
	struct testdev *td = to_testdev(vdev);
	int ret;

	mutex_lock(&td->mig.mig_lock);
	ret = td->mig.get_errno;
	*state = td->mig.state;
	mutex_unlock(&td->mig.mig_lock);
	return ret;
}

#ifdef COMPAT_HAS_MIGRATION_DATA_SIZE
static int testdev_data_size(struct vfio_device *vdev, unsigned long *size)
{
	*size = VFIO_TESTDEV_REGION_SIZE;
	return 0;
}
#endif

const struct vfio_migration_ops testdev_mig_ops = {
#ifdef COMPAT_HAS_MIGRATION_DATA_SIZE
	.migration_get_data_size = testdev_data_size,
#endif
	.migration_set_state = testdev_set_state,
	.migration_get_state = testdev_get_state,
};

void testdev_mig_init(struct testdev *td)
{
	mutex_init(&td->mig.mig_lock);
	td->mig.state = VFIO_DEVICE_STATE_RUNNING;
}

void testdev_mig_close(struct testdev *td)
{
	mutex_lock(&td->mig.mig_lock);
	mig_file_end(td);
	td->mig.state = VFIO_DEVICE_STATE_RUNNING;
	td->mig.set_errno = 0;
	td->mig.get_errno = 0;
	mutex_unlock(&td->mig.mig_lock);
}

/*
 * A device in a state that its flags do not allow is a driver's bug, which the
 * core warns about. The error state wants every flag.
 */
static bool mig_state_possible(struct vfio_device *vdev, u32 state)
{
	u32 need;

	if (state > VFIO_DEVICE_STATE_RUNNING_P2P)
		return false;
	if (state == VFIO_DEVICE_STATE_ERROR)
		need = ~0u;
	else if (state == VFIO_DEVICE_STATE_RUNNING_P2P)
		need = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P;
	else
		need = VFIO_MIGRATION_STOP_COPY;
	return (vdev->migration_flags & need) == need;
}

static long ioctl_next_state(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_next_state ns;
	enum vfio_device_mig_state next = VFIO_DEVICE_STATE_ERROR;

	if (copy_from_user(&ns, arg, sizeof(ns)))
		return -EFAULT;
	if (!mig_state_possible(&td->vdev, ns.cur))
		return -ERANGE;
	ns.ret = vfio_mig_get_next_state(&td->vdev, ns.cur, ns.target, &next);
	ns.next = ns.ret ? ~0u : next;
	return copy_to_user(arg, &ns, sizeof(ns)) ? -EFAULT : 0;
}

static long ioctl_mig_fail(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_mig_fail fail;

	if (copy_from_user(&fail, arg, sizeof(fail)))
		return -EFAULT;
	if (fail.set_errno > 0 || fail.set_errno < -MAX_ERRNO ||
	    fail.get_errno > 0 || fail.get_errno < -MAX_ERRNO)
		return -EINVAL;
	mutex_lock(&td->mig.mig_lock);
	td->mig.set_errno = fail.set_errno;
	td->mig.get_errno = fail.get_errno;
	mutex_unlock(&td->mig.mig_lock);
	return 0;
}

long testdev_mig_ioctl(struct testdev *td, unsigned int cmd, void __user *arg)
{
	if (cmd == VFIO_TESTDEV_NEXT_STATE)
		return ioctl_next_state(td, arg);
	return ioctl_mig_fail(td, arg);
}
