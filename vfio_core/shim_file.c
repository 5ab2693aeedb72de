// SPDX-License-Identifier: GPL-2.0
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>

#include "shim/file.h"

struct file *shim_file_of_fd(int fd)
{
	return fget(fd);
}

void shim_file_get(struct file *file)
{
	get_file(file);
}

void shim_file_put(struct file *file)
{
	fput(file);
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
