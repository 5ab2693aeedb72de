// SPDX-License-Identifier: GPL-2.0
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/idr.h>
#include <linux/kdev_t.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "vfio_core/entry.h"
#include "vfio_core/main.h"
#include "vfio_core/shim/device.h"

static DEFINE_IDA(vfio_device_indexes);

size_t shim_device_min_size(void)
{
	return sizeof(struct vfio_device);
}

struct vfio_device *shim_device_alloc(size_t size)
{
	return kvzalloc(size, GFP_KERNEL);
}

void shim_device_free(struct vfio_device *device)
{
	kvfree(device);
}

int shim_device_index_alloc(void)
{
	return ida_alloc_max(&vfio_device_indexes, MINORMASK, GFP_KERNEL);
}

void shim_device_index_free(int index)
{
	ida_free(&vfio_device_indexes, index);
}

void vfio_shim_device_cleanup(void)
{
	ida_destroy(&vfio_device_indexes);
}

void shim_device_setup(struct vfio_device *device, struct device *dev,
		       const struct vfio_device_ops *ops, int index,
		       struct vfio_core_device *core)
{
	device->dev = dev;
	device->ops = ops;
	device->index = index;
	init_completion(&device->comp);
	dev_set_drvdata(&device->device, core);
}

static void shim_device_released(struct device *dev)
{
	vfio_core_device_release(dev_get_drvdata(dev));
}

void shim_device_initialize(struct vfio_device *device)
{
	device_initialize(&device->device);
	device->device.release = shim_device_released;
	device->device.class = vfio_device_class;
	device->device.parent = device->dev;
}

int shim_device_add(struct vfio_device *device)
{
	int ret = dev_set_name(&device->device, "vfio%d", device->index);

	return ret ? ret : device_add(&device->device);
}

void shim_device_del(struct vfio_device *device)
{
	device_del(&device->device);
}

void shim_device_complete(struct vfio_device *device)
{
	complete(&device->comp);
}

bool shim_device_try_wait(struct vfio_device *device)
{
	return try_wait_for_completion(&device->comp);
}

int shim_device_wait(struct vfio_device *device, unsigned int seconds,
		     bool interruptible)
{
	unsigned long timeout = (unsigned long)seconds * HZ;
	long left;

	if (interruptible)
		left = wait_for_completion_interruptible_timeout(&device->comp,
								 timeout);
	else
		left = wait_for_completion_timeout(&device->comp, timeout);
	if (left < 0)
		return -EINTR;
	return left > 0;
}

struct device *shim_device_dev(const struct vfio_device *device)
{
	return device->dev;
}

const char *shim_device_name(const struct vfio_device *device)
{
	return dev_name(device->dev);
}

void shim_device_set_group(struct vfio_device *device, struct vfio_group *group)
{
	device->group = group;
}

void shim_device_set_kvm(struct vfio_device *device, struct kvm *kvm)
{
	device->kvm = kvm;
}

void shim_device_set_open_count(struct vfio_device *device, u32 count)
{
	WRITE_ONCE(device->open_count, count);
}

u32 shim_device_migration_flags(const struct vfio_device *device)
{
	return device->migration_flags;
}

bool shim_device_module_get(struct vfio_device *device)
{
	return try_module_get(device->dev->driver->owner);
}

void shim_device_module_put(struct vfio_device *device)
{
	module_put(device->dev->driver->owner);
}

const char *shim_device_driver_name(const struct vfio_device *device)
{
	return dev_driver_string(device->dev);
}

int shim_device_pm_get(struct vfio_device *device)
{
	return pm_runtime_resume_and_get(device->dev);
}

void shim_device_pm_put(struct vfio_device *device)
{
	pm_runtime_put(device->dev);
}

void shim_device_warn(const struct vfio_device *device, const char *format, ...)
{
	struct va_format line = { .fmt = format };
	va_list args;

	va_start(args, format);
	line.va = &args;
	dev_warn(device->dev, "%pV\n", &line);
	va_end(args);
}

void shim_device_info(const struct vfio_device *device, const char *format, ...)
{
	struct va_format line = { .fmt = format };
	va_list args;

	va_start(args, format);
	line.va = &args;
	dev_info_ratelimited(device->dev, "%pV\n", &line);
	va_end(args);
}
