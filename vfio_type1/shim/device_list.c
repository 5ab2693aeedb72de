// SPDX-License-Identifier: GPL-2.0
#include <linux/container_of.h>
#include <linux/device.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/vfio.h>

#include "compat/timer.h"
#include "vfio_type1/shim/device_list.h"

/**
 * struct unmap_watch - says in the log that a driver lets an unmap wait
 * @timer: runs after SHIM_UNMAP_LONG_S seconds
 * @device: the driver's device
 * @iova: what is unmapped
 * @size: its size in bytes
 * @task: who unmaps, who does not go before the timer does
 */
struct unmap_watch {
	struct timer_list timer;
	struct vfio_device *device;
	u64 iova;
	u64 size;
	struct task_struct *task;
};

static void unmap_lasts(struct timer_list *timer)
{
	const struct unmap_watch *watch =
		container_of(timer, struct unmap_watch, timer);

	dev_warn_ratelimited(
		watch->device->dev,
		"task %s (%d) unmaps IOVA 0x%llx, size 0x%llx, and has waited %d s for the driver to unpin it\n",
		watch->task->comm, task_tgid_nr(watch->task), watch->iova,
		watch->size, SHIM_UNMAP_LONG_S);
}

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
	struct unmap_watch watch = {
		.iova = iova,
		.size = size,
		.task = current,
	};

	timer_setup_on_stack(&watch.timer, unmap_lasts, 0);
	list_for_each_entry(watch.device, head_of(list), iommu_entry) {
		mod_timer(&watch.timer, jiffies + SHIM_UNMAP_LONG_S * HZ);
		watch.device->ops->dma_unmap(watch.device, iova, size);
		timer_delete_sync(&watch.timer);
	}
	compat_timer_destroy_on_stack(&watch.timer);
}

bool shim_device_hears_unmap(const struct vfio_device *device)
{
	return device->ops->dma_unmap;
}
