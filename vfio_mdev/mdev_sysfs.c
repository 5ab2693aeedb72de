// SPDX-License-Identifier: GPL-2.0
/* The sysfs file `remove` of a mediated device. */
#include <linux/sysfs.h>

#include "entry.h"
#include "main.h"

static ssize_t remove_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	return mdev_core_remove(core_of_mdev(to_mdev_device(dev)), buf, count);
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
