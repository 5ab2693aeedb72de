// SPDX-License-Identifier: GPL-2.0
/* Device files, which have no path: VFIO_GROUP_GET_DEVICE_FD returns them. */
#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "entry.h"
#include "main.h"

static int vfio_device_fops_release(struct inode *inode, struct file *file)
{
	vfio_core_device_file_close(file->private_data);
	return 0;
}

static ssize_t vfio_device_fops_read(struct file *file, char __user *buffer,
				     size_t size, loff_t *position)
{
	return vfio_core_device_file_read(file->private_data, (uintptr_t)buffer,
					  size, position);
}

static ssize_t vfio_device_fops_write(struct file *file,
				      const char __user *buffer, size_t size,
				      loff_t *position)
{
	return vfio_core_device_file_write(file->private_data,
					   (uintptr_t)buffer, size, position);
}

static long vfio_device_fops_ioctl(struct file *file, unsigned int cmd,
				   unsigned long arg)
{
	return vfio_core_device_file_ioctl(file->private_data, cmd, arg);
}

static __poll_t vfio_device_fops_poll(struct file *file,
				      struct poll_table_struct *table)
{
	if (vfio_core_device_file_poll(file->private_data, table))
		return DEFAULT_POLLMASK;
	return 0;
}

static int vfio_device_fops_mmap(struct file *file, struct vm_area_struct *vma)
{
	return vfio_core_device_file_mmap(file->private_data, vma);
}

/* In /proc/PID/fdinfo/FD: where the device of the bus is in sysfs. */
static void vfio_device_fops_show_fdinfo(struct seq_file *out,
					 struct file *file)
{
	struct device *dev = vfio_core_device_file_dev(file->private_data);
	char *path = kobject_get_path(&dev->kobj, GFP_KERNEL);

	if (!path)
		return;
	seq_printf(out, "vfio-device-syspath: /sys%s\n", path);
	kfree(path);
}

const struct file_operations vfio_device_fops = {
	.owner = THIS_MODULE,
	.release = vfio_device_fops_release,
	.read = vfio_device_fops_read,
	.write = vfio_device_fops_write,
	.unlocked_ioctl = vfio_device_fops_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = vfio_device_fops_poll,
	.mmap = vfio_device_fops_mmap,
	.show_fdinfo = vfio_device_fops_show_fdinfo,
};
