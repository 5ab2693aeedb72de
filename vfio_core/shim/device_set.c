// SPDX-License-Identifier: GPL-2.0
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "vfio_core/shim/device_set.h"

struct owned_set {
	struct vfio_device_set set;
	struct vfio_core_device_set *owner;
};

struct vfio_device_set *
shim_device_set_create(u64 id, struct vfio_core_device_set *owner)
{
	struct owned_set *made = kzalloc(sizeof(*made), GFP_KERNEL);

	if (!made)
		return NULL;
	made->set.set_id = (void *)(uintptr_t)id;
	mutex_init(&made->set.lock);
	INIT_LIST_HEAD(&made->set.device_list);
	made->owner = owner;
	return &made->set;
}

void shim_device_set_destroy(struct vfio_device_set *set)
{
	mutex_destroy(&set->lock);
	kfree(container_of(set, struct owned_set, set));
}

struct vfio_core_device_set *shim_device_set_owner(struct vfio_device_set *set)
{
	return container_of(set, struct owned_set, set)->owner;
}

void shim_device_set_lock(struct vfio_device_set *set)
{
	mutex_lock(&set->lock);
}

void shim_device_set_unlock(struct vfio_device_set *set)
{
	mutex_unlock(&set->lock);
}

void shim_device_set_assert_locked(struct vfio_device_set *set)
{
	lockdep_assert_held(&set->lock);
}

void shim_device_set_add(struct vfio_device_set *set,
			 struct vfio_device *device)
{
	device->dev_set = set;
	list_add_tail(&device->dev_set_list, &set->device_list);
	set->device_count++;
}

struct vfio_device *shim_device_set_find(const struct vfio_device_set *set,
					 const struct device *dev)
{
	struct vfio_device *device;

	list_for_each_entry(device, &set->device_list, dev_set_list)
		if (device->dev == dev)
			return device;
	return NULL;
}

void shim_device_set_remove(struct vfio_device_set *set,
			    struct vfio_device *device)
{
	list_del(&device->dev_set_list);
	set->device_count--;
}
