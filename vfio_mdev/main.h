/* SPDX-License-Identifier: GPL-2.0 */
/* What the C files of mdev.ko share. */
#ifndef MDEV_MAIN_H
#define MDEV_MAIN_H

#include <linux/device.h>
#include <linux/kobject.h>
#include <linux/mdev.h>

struct mdev_core_device;
struct mdev_core_parent;

/**
 * struct shim_mdev_directory - a parent's mdev_supported_types
 * @kset: the directory; struct mdev_parent points to it
 * @core: the core's parent
 */
struct shim_mdev_directory {
	struct kset kset;
	struct mdev_core_parent *core;
};

/**
 * struct shim_mdev_device - a mediated device
 * @mdev: the kernel's struct
 * @core: the core's device
 */
struct shim_mdev_device {
	struct mdev_device mdev;
	struct mdev_core_device *core;
};

static inline struct mdev_core_parent *
core_of_parent(const struct mdev_parent *parent)
{
	return container_of(parent->mdev_types_kset, struct shim_mdev_directory,
			    kset)
		->core;
}

static inline struct mdev_core_device *core_of_mdev(struct mdev_device *mdev)
{
	return container_of(mdev, struct shim_mdev_device, mdev)->core;
}

extern struct bus_type mdev_bus_type;
/* /sys/class/mdev_bus */
extern struct class_compat *mdev_bus_class;

/* The sysfs files of a type and of a device: sysfs.c */
extern const struct attribute_group *mdev_type_groups[];
extern const struct attribute_group *mdev_device_groups[];
extern struct device_attribute mdev_remove_attribute;

#endif
