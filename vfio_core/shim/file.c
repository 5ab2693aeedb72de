// SPDX-License-Identifier: GPL-2.0
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>

#include "vfio_core/main.h"
#include "vfio_core/shim/file.h"

struct file *shim_file_of_fd(int fd)
{
	return fget(fd);
}

void shim_file_put(struct file *file)
{
	fput(file);
}

struct vfio_container *shim_file_container(struct file *file)
{
	if (file->f_op != &vfio_container_fops)
		return NULL;
	return file->private_data;
}

struct vfio_group *shim_file_group(struct file *file)
{
	if (file->f_op != &vfio_group_fops)
		return NULL;
	return file->private_data;
}

struct vfio_core_device_file *shim_file_device(struct file *file)
{
	if (file->f_op != &vfio_device_fops)
		return NULL;
	return file->private_data;
}

int shim_file_create_device(struct inode *inode,
			    struct vfio_core_device_file *core,
			    struct file **file)
{
	struct file *made = anon_inode_getfile("[vfio-device]",
					       &vfio_device_fops, core, O_RDWR);

	if (IS_ERR(made))
		return PTR_ERR(made);
	/* Regions of the device are at offsets, so pread(2) and pwrite(2) work. */
	made->f_mode |= FMODE_PREAD | FMODE_PWRITE;
	/* The user's maps are taken away through the mapping that all files share. */
	made->f_mapping = inode->i_mapping;
	*file = made;
	return 0;
}

bool shim_file_nonblocking(const struct file *file)
{
	return file->f_flags & O_NONBLOCK;
}

int shim_fd_reserve(void)
{
	return get_unused_fd_flags(O_CLOEXEC);
}

void shim_fd_cancel(int fd)
{
	put_unused_fd(fd);
}

void shim_fd_install(int fd, struct file *file)
{
	fd_install(fd, file);
}
