// SPDX-License-Identifier: GPL-2.0
#include <linux/idr.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "vfio_core/entry.h"
#include "vfio_core/main.h"
#include "vfio_core/shim/group_node.h"

static DEFINE_IDA(vfio_group_minors);

static void shim_group_node_release(struct device *dev)
{
	struct shim_group_node *node =
		container_of(dev, struct shim_group_node, dev);

	if (node->group)
		vfio_core_group_destroy(node->group);
	ida_free(&vfio_group_minors, MINOR(dev->devt));
	kfree(node);
}

int shim_group_node_create(struct vfio_group *group, const char *prefix,
			   int number, struct shim_group_node **node)
{
	struct shim_group_node *made;
	int minor, ret;

	made = kzalloc(sizeof(*made), GFP_KERNEL);
	if (!made)
		return -ENOMEM;
	minor = ida_alloc_max(&vfio_group_minors, MINORMASK, GFP_KERNEL);
	if (minor < 0) {
		kfree(made);
		return minor;
	}

	device_initialize(&made->dev);
	made->dev.devt = MKDEV(MAJOR(vfio_group_devt), minor);
	made->dev.class = vfio_group_class;
	made->dev.release = shim_group_node_release;
	cdev_init(&made->cdev, &vfio_group_fops);
	made->cdev.owner = THIS_MODULE;

	ret = dev_set_name(&made->dev, "%s%d", prefix, number);
	if (ret) {
		put_device(&made->dev);
		return ret;
	}
	made->group = group;
	*node = made;
	return 0;
}

int shim_group_node_add(struct shim_group_node *node)
{
	return cdev_device_add(&node->cdev, &node->dev);
}

void shim_group_node_del(struct shim_group_node *node)
{
	cdev_device_del(&node->cdev, &node->dev);
}

void shim_group_node_get(struct shim_group_node *node)
{
	get_device(&node->dev);
}

void shim_group_node_put(struct shim_group_node *node)
{
	put_device(&node->dev);
}

void vfio_shim_group_node_cleanup(void)
{
	ida_destroy(&vfio_group_minors);
}
