/* SPDX-License-Identifier: GPL-2.0 */
/* Files and file descriptors of the calling process. */
#ifndef SHIM_FILE_H
#define SHIM_FILE_H

#include "shim/base.h"

struct file;
struct inode;
struct vfio_container;
struct vfio_core_device_file;
struct vfio_group;

SHIM_BEGIN

/**
 * shim_file_of_fd() - the file behind a descriptor
 * @fd: the descriptor
 *
 * Return: the file with a reference that the caller puts, or NULL.
 */
struct file *shim_file_of_fd(int fd);

/**
 * shim_file_put() - drop a reference
 * @file: the file; if this was the last reference, the file is closed later,
 *	  when the calling task holds no lock
 */
void shim_file_put(struct file *file);

/**
 * shim_file_container() - the container that a file stands for
 * @file: the file
 *
 * Return: the container, which lives as long as the file; NULL for any other file.
 */
struct vfio_container *shim_file_container(struct file *file);

/**
 * shim_file_group() - the group that a file stands for
 * @file: the file
 *
 * Return: the group, which lives as long as the file; NULL for any other file.
 */
struct vfio_group *shim_file_group(struct file *file);

/**
 * shim_file_device() - the open of a device that a file stands for
 * @file: the file
 *
 * Return: the file's private data, which lives as long as the file; NULL for any
 * other file.
 */
struct vfio_core_device_file *shim_file_device(struct file *file);

/**
 * shim_file_create_device() - make the file of an open device
 * @inode: the device's inode, which gets the file's maps
 * @core: the file's private data. vfio_core_device_file_close() is called with it
 *	  when the file is closed.
 * @file: where to put the file, with a reference that the caller puts
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_file_create_device(struct inode *inode,
			    struct vfio_core_device_file *core,
			    struct file **file);

/**
 * shim_file_nonblocking() - whether a file has O_NONBLOCK
 * @file: the file
 */
bool shim_file_nonblocking(const struct file *file);

/**
 * shim_fd_reserve() - take a free descriptor, closed on exec
 *
 * Return: the descriptor, -EMFILE or -ENOMEM.
 */
int shim_fd_reserve(void);

/**
 * shim_fd_cancel() - undo shim_fd_reserve()
 * @fd: the descriptor
 */
void shim_fd_cancel(int fd);

/**
 * shim_fd_install() - let a reserved descriptor stand for a file
 * @fd: the descriptor
 * @file: the file; the caller's reference goes to the descriptor
 */
void shim_fd_install(int fd, struct file *file);

SHIM_END

#endif
