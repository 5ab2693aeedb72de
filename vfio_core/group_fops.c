// SPDX-License-Identifier: GPL-2.0
/* /dev/vfio/GROUP: an open file stands for the group. */
#include <linux/module.h>

#include "entry.h"
#include "main.h"

static int vfio_group_fops_open(struct inode *inode, struct file *file)
{
	struct vfio_group *group =
		container_of(inode->i_cdev, struct shim_group_node, cdev)
			->group;
	int ret;

	ret = vfio_core_group_open(group);
	if (!ret)
		file->private_data = group;
	return ret;
}

static int vfio_group_fops_release(struct inode *inode, struct file *file)
{
	vfio_core_group_close(file->private_data);
	return 0;
}

static long vfio_group_fops_ioctl(struct file *file, unsigned int cmd,
				  unsigned long arg)
{
	return vfio_core_group_ioctl(file->private_data, cmd, arg);
}

const struct file_operations vfio_group_fops = {
	.owner = THIS_MODULE,
	.open = vfio_group_fops_open,
	.release = vfio_group_fops_release,
	.unlocked_ioctl = vfio_group_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
