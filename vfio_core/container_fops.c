// SPDX-License-Identifier: GPL-2.0
/* /dev/vfio/vfio: each open file has its own container. */
#include <linux/module.h>

#include "entry.h"
#include "main.h"

static int vfio_container_fops_open(struct inode *inode, struct file *file)
{
	struct vfio_container *container;
	int ret;

	ret = vfio_core_container_open(&container);
	if (!ret)
		file->private_data = container;
	return ret;
}

static int vfio_container_fops_release(struct inode *inode, struct file *file)
{
	vfio_core_container_close(file->private_data);
	return 0;
}

static long vfio_container_fops_ioctl(struct file *file, unsigned int cmd,
				      unsigned long arg)
{
	return vfio_core_container_ioctl(file->private_data, cmd, arg);
}

const struct file_operations vfio_container_fops = {
	.owner = THIS_MODULE,
	.open = vfio_container_fops_open,
	.release = vfio_container_fops_release,
	.unlocked_ioctl = vfio_container_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
