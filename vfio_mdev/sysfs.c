// SPDX-License-Identifier: GPL-2.0
/*
 * The files of a type, in PARENT/mdev_supported_types/TYPE, and the file `remove`
 * of a mediated device. While a thread is in a file, sysfs keeps what it belongs to:
 * the device, or the type and its parent's directory.
 */
#include <linux/sysfs.h>

#include "entry.h"
#include "main.h"
#include "vfio_mdev/trace.h"

static struct mdev_type *type_of(struct kobject *kobj)
{
	return container_of(kobj, struct mdev_type, kobj);
}

static struct mdev_core_parent *parent_of(struct kobject *kobj)
{
	return core_of_parent(type_of(kobj)->parent);
}

static ssize_t create_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	ssize_t ret =
		mdev_core_create(parent_of(kobj), type_of(kobj), buf, count);

	trace_vfio_mdev_create(dev_name(type_of(kobj)->parent->dev), buf, count,
			       ret);
	return ret;
}

static ssize_t name_show(struct kobject *kobj, struct kobj_attribute *attr,
			 char *buf)
{
	const struct mdev_type *type = type_of(kobj);

	return sysfs_emit(buf, "%s\n", type->pretty_name ?: type->sysfs_name);
}

static ssize_t device_api_show(struct kobject *kobj,
			       struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n",
			  type_of(kobj)->parent->mdev_driver->device_api);
}

static ssize_t available_instances_show(struct kobject *kobj,
					struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n",
			  mdev_core_available(parent_of(kobj), type_of(kobj)));
}

static ssize_t description_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	struct mdev_type *type = type_of(kobj);

	return type->parent->mdev_driver->show_description(type, buf);
}

static struct kobj_attribute create_attribute = __ATTR_WO(create);
static struct kobj_attribute name_attribute = __ATTR_RO(name);
static struct kobj_attribute device_api_attribute = __ATTR_RO(device_api);
static struct kobj_attribute available_instances_attribute =
	__ATTR_RO(available_instances);
static struct kobj_attribute description_attribute = __ATTR_RO(description);

static struct attribute *type_attributes[] = {
	&create_attribute.attr,
	&name_attribute.attr,
	&device_api_attribute.attr,
	&available_instances_attribute.attr,
	NULL,
};

static const struct attribute_group type_group = {
	.attrs = type_attributes,
};

/* The file exists only if the driver has show_description(). */
static umode_t description_mode(struct kobject *kobj, struct attribute *attr,
				int index)
{
	const struct mdev_driver *driver = type_of(kobj)->parent->mdev_driver;

	return driver->show_description ? attr->mode : 0;
}

static struct attribute *description_attributes[] = {
	&description_attribute.attr,
	NULL,
};

static const struct attribute_group description_group = {
	.attrs = description_attributes,
	.is_visible = description_mode,
};

const struct attribute_group *mdev_type_groups[] = {
	&type_group,
	&description_group,
	NULL,
};

/* Devices. */

static ssize_t remove_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	ssize_t ret;

	/* For its name: the last reference may go meanwhile. */
	get_device(dev);
	ret = mdev_core_remove(core_of_mdev(to_mdev_device(dev)), buf, count);
	trace_vfio_mdev_remove(dev_name(dev), ret);
	put_device(dev);
	return ret;
}

struct device_attribute mdev_remove_attribute = __ATTR_WO(remove);

static struct attribute *device_attributes[] = {
	&mdev_remove_attribute.attr,
	NULL,
};

static const struct attribute_group device_group = {
	.attrs = device_attributes,
};

const struct attribute_group *mdev_device_groups[] = {
	&device_group,
	NULL,
};
