// SPDX-License-Identifier: GPL-2.0
#include <linux/kstrtox.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/uuid.h>

#include "vfio_mdev/entry.h"
#include "vfio_mdev/main.h"
#include "vfio_mdev/shim/mdev.h"

static void mdev_release(struct device *dev)
{
	struct shim_mdev_device *made = container_of(
		to_mdev_device(dev), struct shim_mdev_device, mdev);

	if (made->core)
		mdev_core_destroy(made->core);
	kfree(made);
}

int shim_mdev_create(struct mdev_core_device *core, struct mdev_parent *parent,
		     struct mdev_type *type, const u8 *uuid,
		     struct mdev_device **mdev)
{
	struct shim_mdev_device *made = kzalloc(sizeof(*made), GFP_KERNEL);
	struct device *dev;
	int ret;

	if (!made)
		return -ENOMEM;
	made->mdev.type = type;
	import_guid(&made->mdev.uuid, uuid);
	INIT_LIST_HEAD(&made->mdev.next);

	dev = &made->mdev.dev;
	device_initialize(dev);
	dev->parent = parent->dev;
	dev->bus = &mdev_bus_type;
	dev->release = mdev_release;
	dev->groups = mdev_device_groups;
	ret = dev_set_name(dev, "%pUl", &made->mdev.uuid);
	if (ret) {
		put_device(dev);
		return ret;
	}
	made->core = core;
	*mdev = &made->mdev;
	return 0;
}

int shim_mdev_add(struct mdev_device *mdev)
{
	return device_add(&mdev->dev);
}

int shim_mdev_attach(struct mdev_device *mdev)
{
	return device_driver_attach(&mdev->type->parent->mdev_driver->driver,
				    &mdev->dev);
}

int shim_mdev_link(struct mdev_device *mdev)
{
	struct mdev_type *type = mdev->type;
	int ret;

	ret = sysfs_create_link(type->devices_kobj, &mdev->dev.kobj,
				dev_name(&mdev->dev));
	if (ret)
		return ret;
	ret = sysfs_create_link(&mdev->dev.kobj, &type->kobj, "mdev_type");
	if (ret)
		sysfs_remove_link(type->devices_kobj, dev_name(&mdev->dev));
	return ret;
}

void shim_mdev_unlink(struct mdev_device *mdev)
{
	sysfs_remove_link(&mdev->dev.kobj, "mdev_type");
	sysfs_remove_link(mdev->type->devices_kobj, dev_name(&mdev->dev));
}

void shim_mdev_leave_remove_file(struct mdev_device *mdev)
{
	device_remove_file_self(&mdev->dev, &mdev_remove_attribute);
}

void shim_mdev_del(struct mdev_device *mdev)
{
	device_del(&mdev->dev);
}

void shim_mdev_put(struct mdev_device *mdev)
{
	put_device(&mdev->dev);
}

int shim_parse_uuid(const char *text, u8 *uuid)
{
	return guid_parse(text, (guid_t *)uuid);
}

int shim_parse_number(const char *text, unsigned long *value)
{
	return kstrtoul(text, 0, value);
}
