/* SPDX-License-Identifier: GPL-2.0 */
/* Classes of devices, in the newest kernel's shape. */
#ifndef COMPAT_CLASS_H
#define COMPAT_CLASS_H

#include <linux/device.h>
#include <linux/module.h>
#include <linux/version.h>

/* From 6.4 on a class does not name its module. */
static inline struct class *compat_class_create(const char *name)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return class_create(THIS_MODULE, name);
#else
	return class_create(name);
#endif
}

/* The device that a class's devnode is asked about: const from 6.2 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
typedef struct device compat_devnode_device;
#else
typedef const struct device compat_devnode_device;
#endif

#endif
