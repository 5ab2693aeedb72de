// SPDX-License-Identifier: GPL-2.0
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "compat/class.h"
#include "vfio_mdev/entry.h"
#include "vfio_mdev/main.h"
#include "vfio_mdev/shim/parent.h"

static void directory_release(struct kobject *kobj)
{
	struct shim_mdev_directory *directory =
		container_of(kobj, struct shim_mdev_directory, kset.kobj);

	if (directory->core)
		mdev_core_put_parent(directory->core);
	kfree(directory);
}

static struct kobj_type directory_ktype = {
	.sysfs_ops = &kobj_sysfs_ops,
	.release = directory_release,
};

int shim_mdev_parent_create(struct mdev_parent *parent,
			    struct mdev_core_parent *core, struct device *dev,
			    struct mdev_driver *driver,
			    struct mdev_type **types, u32 ntypes)
{
	struct shim_mdev_directory *made = kzalloc(sizeof(*made), GFP_KERNEL);
	int ret;

	if (!made)
		return -ENOMEM;
	ret = kobject_set_name(&made->kset.kobj, "mdev_supported_types");
	if (ret) {
		kfree(made);
		return ret;
	}
	made->kset.kobj.ktype = &directory_ktype;
	made->kset.kobj.parent = &dev->kobj;
	ret = kset_register(&made->kset);
	if (ret) {
		kobject_put(&made->kset.kobj);
		return ret;
	}
	made->core = core;

	memset(parent, 0, sizeof(*parent));
	parent->dev = dev;
	parent->mdev_driver = driver;
	parent->mdev_types_kset = &made->kset;
	parent->types = types;
	parent->nr_types = ntypes;
	/* The core has its own; drivers may look at these two. */
	init_rwsem(&parent->unreg_sem);
	atomic_set(&parent->available_instances, driver->max_instances);
	return 0;
}

void shim_mdev_parent_destroy(struct mdev_parent *parent)
{
	kset_unregister(parent->mdev_types_kset);
}

int shim_mdev_parent_link(struct mdev_parent *parent)
{
	return compat_class_link(mdev_bus_class, parent->dev);
}

void shim_mdev_parent_unlink(struct mdev_parent *parent)
{
	compat_class_unlink(mdev_bus_class, parent->dev);
}

void shim_mdev_parent_uevent(struct mdev_parent *parent, const char *variable)
{
	char *environment[] = { (char *)variable, NULL };

	kobject_uevent_env(&parent->dev->kobj, KOBJ_CHANGE, environment);
}

void shim_mdev_parent_info(const struct mdev_parent *parent, const char *what)
{
	dev_info(parent->dev, "mdev: %s\n", what);
}

void shim_mdev_parent_warn(const struct mdev_parent *parent, const char *what)
{
	dev_warn(parent->dev, "mdev: %s\n", what);
}

/* A type's memory is its driver's. */
static void type_release(struct kobject *kobj)
{
}

static struct kobj_type type_ktype = {
	.sysfs_ops = &kobj_sysfs_ops,
	.release = type_release,
	.default_groups = mdev_type_groups,
};

u32 shim_mdev_type_available(struct mdev_type *type)
{
	return type->parent->mdev_driver->get_available(type);
}

int shim_mdev_type_add(struct mdev_parent *parent, u32 index)
{
	struct mdev_type *type = parent->types[index];
	int ret;

	/* The driver may have registered the type before. */
	memset(&type->kobj, 0, sizeof(type->kobj));
	type->kobj.kset = parent->mdev_types_kset;
	type->parent = parent;
	ret = kobject_init_and_add(&type->kobj, &type_ktype, NULL, "%s-%s",
				   dev_driver_string(parent->dev),
				   type->sysfs_name);
	if (ret)
		goto err_put;
	type->devices_kobj = kobject_create_and_add("devices", &type->kobj);
	if (!type->devices_kobj) {
		ret = -ENOMEM;
		goto err_del;
	}
	return 0;

err_del:
	kobject_del(&type->kobj);
err_put:
	kobject_put(&type->kobj);
	return ret;
}

void shim_mdev_type_remove(struct mdev_parent *parent, u32 index)
{
	struct mdev_type *type = parent->types[index];

	kobject_put(type->devices_kobj);
	kobject_del(&type->kobj);
	kobject_put(&type->kobj);
}
