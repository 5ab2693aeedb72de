// SPDX-License-Identifier: GPL-2.0
/*
 * A parent and its instances: types by the size of the ring, which share the
 * parent's entries, and what is created and removed through the mdev bus.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include "copy.h"

static unsigned int capacity = 4096;
module_param(capacity, uint, 0444);
MODULE_PARM_DESC(capacity, "Ring entries that the instances of a parent share");

static const struct {
	const char *name;
	u32 entries;
} mc_types[MC_TYPES] = {
	{ "64", 64 },
	{ "256", 256 },
	{ "1024", 1024 },
};

static struct mc_type *to_mc_type(struct mdev_type *type)
{
	return container_of(type, struct mc_type, mdev);
}

static struct mc_parent *to_mc_parent(struct mdev_type *type)
{
	return container_of(type->parent, struct mc_parent, mdev);
}

/* Of a mediated device; also how large its ring may be. */
struct mc_parent *mc_parent_of(struct device *dev, u32 *entries)
{
	struct mdev_type *type = to_mdev_device(dev)->type;

	*entries = to_mc_type(type)->entries;
	return to_mc_parent(type);
}

static unsigned int mc_get_available(struct mdev_type *type)
{
	return atomic_read(&to_mc_parent(type)->free_entries) /
	       to_mc_type(type)->entries;
}

static ssize_t mc_show_description(struct mdev_type *type, char *buf)
{
	return sysfs_emit(buf, "copy, fill and CRC32, ring of up to %u, %s\n",
			  to_mc_type(type)->entries,
			  to_mc_parent(type)->edu ? "by the parent's DMA" :
						    "by the CPU");
}

static bool mc_take_entries(struct mc_parent *parent, int entries)
{
	int left = atomic_read(&parent->free_entries);

	do {
		if (left < entries)
			return false;
	} while (!atomic_try_cmpxchg(&parent->free_entries, &left,
				     left - entries));
	return true;
}

static int mc_probe(struct mdev_device *mdev)
{
	struct mc_parent *parent;
	struct mc *mc;
	u32 entries;
	int ret;

	parent = mc_parent_of(&mdev->dev, &entries);
	if (!mc_take_entries(parent, entries))
		return -ENOSPC;
	mc = vfio_alloc_device(mc, vdev, &mdev->dev, &mc_device_ops);
	if (IS_ERR(mc)) {
		ret = PTR_ERR(mc);
		goto err_entries;
	}
	ret = vfio_register_emulated_iommu_dev(&mc->vdev);
	if (ret)
		goto err_put;
	dev_set_drvdata(&mdev->dev, mc);
	return 0;

err_put:
	vfio_put_device(&mc->vdev);
err_entries:
	atomic_add(entries, &parent->free_entries);
	return ret;
}

static void mc_remove(struct mdev_device *mdev)
{
	struct mc *mc = dev_get_drvdata(&mdev->dev);
	struct mc_parent *parent = mc->parent;
	u32 entries = mc->entries;

	vfio_unregister_group_dev(&mc->vdev); /* waits until it is closed */
	vfio_put_device(&mc->vdev);
	atomic_add(entries, &parent->free_entries);
}

struct mdev_driver mc_mdev_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.driver = {
		.name = "mdev_copy",
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
	.probe = mc_probe,
	.remove = mc_remove,
	.get_available = mc_get_available,
	.show_description = mc_show_description,
};

int mc_parent_register(struct mc_parent *parent, struct device *dev,
		       struct mc_edu *edu)
{
	int i;

	parent->dev = dev;
	parent->edu = edu;
	atomic_set(&parent->free_entries, min_t(u32, capacity, INT_MAX));
	for (i = 0; i < MC_TYPES; i++) {
		parent->types[i].mdev.sysfs_name = mc_types[i].name;
		parent->types[i].mdev.pretty_name = "copy engine";
		parent->types[i].entries = mc_types[i].entries;
		parent->type_list[i] = &parent->types[i].mdev;
	}
	return mdev_register_parent(&parent->mdev, dev, &mc_mdev_driver,
				    parent->type_list, MC_TYPES);
}

void mc_parent_unregister(struct mc_parent *parent)
{
	mdev_unregister_parent(&parent->mdev);
}
