// SPDX-License-Identifier: GPL-2.0
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include <linux/vfio.h>

#include "compat/device.h"
#include "vfio_core/entry.h"
#include "vfio_core/main.h"
#include "vfio_core/shim/debugfs.h"

static struct dentry *vfio_debugfs;
static struct dentry *vfio_debugfs_containers;

/**
 * struct shim_debug_list - an open file of a container
 * @container: the container
 * @file: an enum shim_debug_file
 * @cursor: the record that is printed next
 * @following: the record after that, once it has been printed
 * @more: whether there may be that record
 * @ended: whether there is none any more
 */
struct shim_debug_list {
	struct vfio_container *container;
	u32 file;
	u64 cursor;
	u64 following;
	int more;
	bool ended;
};

/* The kernel begins at 0, or where next() has ended. */
static void *list_start(struct seq_file *seq, loff_t *pos)
{
	struct shim_debug_list *list = seq->private;

	if (!*pos) {
		list->cursor = 0;
		list->ended = false;
	}
	return list->ended ? NULL : list;
}

static void *list_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct shim_debug_list *list = seq->private;

	++*pos;
	list->cursor = list->following;
	list->ended = !list->more;
	return list->ended ? NULL : list;
}

static void list_stop(struct seq_file *seq, void *v)
{
}

static int list_show(struct seq_file *seq, void *v)
{
	struct shim_debug_list *list = seq->private;

	list->following = list->cursor;
	list->more = vfio_core_container_show(list->container, list->file,
					      &list->following, seq);
	return min(list->more, 0);
}

static const struct seq_operations list_ops = {
	.start = list_start,
	.next = list_next,
	.stop = list_stop,
	.show = list_show,
};

static int list_open(struct inode *inode, struct file *file, u32 which)
{
	struct shim_debug_list *list = __seq_open_private(
		file, &list_ops, sizeof(struct shim_debug_list));

	if (!list)
		return -ENOMEM;
	list->container = inode->i_private;
	list->file = which;
	return 0;
}

#define CONTAINER_FILE(name, which)                                    \
	static int name##_open(struct inode *inode, struct file *file) \
	{                                                              \
		return list_open(inode, file, which);                  \
	}                                                              \
	static const struct file_operations name##_fops = {            \
		.owner = THIS_MODULE,                                  \
		.open = name##_open,                                   \
		.read = seq_read,                                      \
		.llseek = seq_lseek,                                   \
		.release = seq_release_private,                        \
	}

CONTAINER_FILE(owner, SHIM_DEBUG_OWNER);
CONTAINER_FILE(groups, SHIM_DEBUG_GROUPS);
CONTAINER_FILE(domains, SHIM_DEBUG_DOMAINS);
CONTAINER_FILE(summary, SHIM_DEBUG_SUMMARY);
CONTAINER_FILE(mappings, SHIM_DEBUG_MAPPINGS);
CONTAINER_FILE(statistics, SHIM_DEBUG_STATISTICS);

struct dentry *shim_debug_container(struct vfio_container *container,
				    u64 number)
{
	struct dentry *dir;
	char name[24];

	snprintf(name, sizeof(name), "%llu", number);
	dir = debugfs_create_dir(name, vfio_debugfs_containers);
	debugfs_create_file("owner", 0400, dir, container, &owner_fops);
	debugfs_create_file("groups", 0400, dir, container, &groups_fops);
	debugfs_create_file("domains", 0400, dir, container, &domains_fops);
	debugfs_create_file("summary", 0400, dir, container, &summary_fops);
	debugfs_create_file("mappings", 0400, dir, container, &mappings_fops);
	debugfs_create_file("statistics", 0400, dir, container,
			    &statistics_fops);
	return dir;
}

#define DEVICE_FILE(name, which)                                        \
	static int name##_show(struct seq_file *seq, void *unused)      \
	{                                                               \
		return vfio_core_device_show(seq->private, which, seq); \
	}                                                               \
	DEFINE_SHOW_ATTRIBUTE(name)

DEVICE_FILE(state, SHIM_DEVICE_STATE);
DEVICE_FILE(features, SHIM_DEVICE_FEATURES);
DEVICE_FILE(user, SHIM_DEVICE_USER);

struct dentry *shim_debug_device(struct vfio_device *device,
				 struct vfio_core_device *core, bool migrates)
{
	struct dentry *dir =
		debugfs_create_dir(dev_name(device->dev), vfio_debugfs);
	struct dentry *migration;

	compat_device_set_debug_root(device, dir);
	debugfs_create_file("user", 0400, dir, core, &user_fops);
	if (!migrates)
		return dir;
	migration = debugfs_create_dir("migration", dir);
	debugfs_create_file("state", 0444, migration, core, &state_fops);
	debugfs_create_file("features", 0444, migration, core, &features_fops);
	return dir;
}

void shim_debug_remove(struct dentry *dir)
{
	debugfs_remove(dir);
}

void vfio_shim_debugfs_init(void)
{
	vfio_debugfs = debugfs_create_dir("vfio", NULL);
	vfio_debugfs_containers =
		debugfs_create_dir("containers", vfio_debugfs);
}

void vfio_shim_debugfs_cleanup(void)
{
	debugfs_remove(vfio_debugfs);
}
