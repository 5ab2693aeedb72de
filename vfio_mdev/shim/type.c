// SPDX-License-Identifier: GPL-2.0
#include <linux/string.h>

#include "vfio_mdev/main.h"
#include "vfio_mdev/shim/type.h"

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
