// SPDX-License-Identifier: GPL-2.0
#include <linux/list.h>
#include <linux/vfio.h>

#include "vfio_type1/shim/device_list.h"

static struct list_head *head_of(const struct shim_device_list *list)
{
	static_assert(sizeof(struct list_head) <= sizeof(list->storage));
	return (struct list_head *)list->storage;
}

void shim_device_list_init(struct shim_device_list *list)
{
	INIT_LIST_HEAD(head_of(list));
}

void shim_device_list_add(struct shim_device_list *list,
			  struct vfio_device *device)
{
	list_add(&device->iommu_entry, head_of(list));
}

void shim_device_list_remove(struct vfio_device *device)
{
	list_del(&device->iommu_entry);
}

void shim_device_list_dma_unmap(const struct shim_device_list *list, u64 iova,
				u64 size)
{
	struct vfio_device *device;

	list_for_each_entry(device, head_of(list), iommu_entry)
		device->ops->dma_unmap(device, iova, size);
}

bool shim_device_hears_unmap(const struct vfio_device *device)
{
	return device->ops->dma_unmap;
}
