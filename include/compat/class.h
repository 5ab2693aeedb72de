/* SPDX-License-Identifier: GPL-2.0 */
/* Classes of devices, with the newest kernel's interface. */
#ifndef COMPAT_CLASS_H
#define COMPAT_CLASS_H

#include <linux/device.h>
#include <linux/module.h>
#include <linux/version.h>

/* From 6.4 on class_create() does not take the module. */
static inline struct class *compat_class_create(const char *name)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return class_create(THIS_MODULE, name);
#else
	return class_create(name);
#endif
}

/* Before 7.0 a link in a compatibility class may also get one back, to a folder of the device. */
static inline int compat_class_link(struct class_compat *class,
				    struct device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
	return class_compat_create_link(class, dev, NULL);
#else
	return class_compat_create_link(class, dev);
#endif
}

static inline void compat_class_unlink(struct class_compat *class,
				       struct device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
	class_compat_remove_link(class, dev, NULL);
#else
	class_compat_remove_link(class, dev);
#endif
}

/* What a bus's match takes a pointer to: const from 6.11 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
typedef struct device_driver compat_match_driver;
#else
typedef const struct device_driver compat_match_driver;
#endif

/* What a class's devnode takes a pointer to: const from 6.2 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
typedef struct device compat_devnode_device;
#else
typedef const struct device compat_devnode_device;
#endif

#endif
