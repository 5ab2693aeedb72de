// SPDX-License-Identifier: GPL-2.0
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/vfio.h>

#include "compat/device_file.h"
#include "vfio_zpci/shim/open_devices.h"

static struct list_head *head_of(const struct shim_open_devices *devices)
{
	static_assert(sizeof(struct list_head) <= sizeof(devices->storage));
	return (struct list_head *)devices->storage;
}

void shim_open_devices_init(struct shim_open_devices *devices)
{
	INIT_LIST_HEAD(head_of(devices));
}

void shim_open_devices_add(struct shim_open_devices *devices,
			   struct vfio_device *device)
{
	list_add(&device->iommu_entry, head_of(devices));
}

void shim_open_devices_remove(struct vfio_device *device)
{
	list_del(&device->iommu_entry);
}

struct iommu_group *shim_device_group(struct vfio_device *device)
{
	struct iommu_group *group = iommu_group_get(device->dev);

	iommu_group_put(group);
	return group;
}

struct iommu_group *
shim_open_devices_find(const struct shim_open_devices *devices, int fd)
{
	struct file *file = fget(fd);
	struct iommu_group *group = NULL;
	struct vfio_device *device;

	if (!file)
		return NULL;
	list_for_each_entry(device, head_of(devices), iommu_entry)
		if (compat_device_owns_file(device, file))
			group = shim_device_group(device);
	fput(file);
	return group;
}

struct kvm *shim_open_devices_kvm(const struct shim_open_devices *devices,
				  const struct iommu_group *group)
{
	struct vfio_device *device;

	list_for_each_entry(device, head_of(devices), iommu_entry)
		if (device->kvm && shim_device_group(device) == group)
			return device->kvm;
	return NULL;
}
