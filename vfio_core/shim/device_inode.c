// SPDX-License-Identifier: GPL-2.0
/*
 * Inodes of devices, which have no path. They are in a file system of their own, which
 * is mounted while there are devices, so that it keeps this module loaded no longer.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "compat/device.h"
#include "vfio_core/shim/device_inode.h"

/* "VFIO", as in the kernel's own. */
#define VFIO_FS_MAGIC 0x5646494f

static struct vfsmount *vfio_mount;
static int vfio_mount_count;

static int vfio_fs_init_context(struct fs_context *context)
{
	return init_pseudo(context, VFIO_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type vfio_fs = {
	.name = "vfio",
	.owner = THIS_MODULE,
	.init_fs_context = vfio_fs_init_context,
	.kill_sb = kill_anon_super,
};

int shim_device_inode_create(struct vfio_device *device, struct inode **made)
{
	struct inode *inode;
	int ret;

	ret = simple_pin_fs(&vfio_fs, &vfio_mount, &vfio_mount_count);
	if (ret)
		return ret;
	inode = alloc_anon_inode(vfio_mount->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&vfio_mount, &vfio_mount_count);
		return PTR_ERR(inode);
	}
	compat_device_set_inode(device, inode);
	*made = inode;
	return 0;
}

void shim_device_inode_drop(struct inode *inode)
{
	iput(inode);
	simple_release_fs(&vfio_mount, &vfio_mount_count);
}

void shim_device_inode_zap(struct inode *inode)
{
	unmap_mapping_range(inode->i_mapping, 0, 0, true);
}
