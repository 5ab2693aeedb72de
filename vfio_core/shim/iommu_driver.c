// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/module.h>

#include "compat/iommu_driver.h"
#include "vfio_core/shim/iommu_driver.h"

static_assert((int)SHIM_GROUP_IOMMU == VFIO_IOMMU);
static_assert((int)SHIM_GROUP_EMULATED == VFIO_EMULATED_IOMMU);
static_assert((int)SHIM_GROUP_NOIOMMU == VFIO_NO_IOMMU);

u32 shim_iommu_driver_ops(const struct vfio_iommu_driver_ops *ops)
{
	return (ops->pin_pages ? SHIM_IOMMU_DRIVER_PIN : 0) |
	       (ops->register_device ? SHIM_IOMMU_DRIVER_REGISTER : 0) |
	       (ops->unregister_device ? SHIM_IOMMU_DRIVER_UNREGISTER : 0) |
	       (ops->dma_rw ? SHIM_IOMMU_DRIVER_DMA_RW : 0) |
	       (compat_wants_close(ops) ? SHIM_IOMMU_DRIVER_CLOSED : 0);
}

const char *shim_iommu_driver_name(const struct vfio_iommu_driver_ops *ops)
{
	return ops->name;
}

bool shim_iommu_driver_get(const struct vfio_iommu_driver_ops *ops)
{
	return try_module_get(ops->owner);
}

void shim_iommu_driver_put(const struct vfio_iommu_driver_ops *ops)
{
	module_put(ops->owner);
}

int shim_iommu_driver_open(const struct vfio_iommu_driver_ops *ops,
			   u64 extension, struct shim_iommu_data **data)
{
	void *made = ops->open(extension);

	if (IS_ERR(made))
		return PTR_ERR(made);
	*data = made;
	return 0;
}

void shim_iommu_driver_release(const struct vfio_iommu_driver_ops *ops,
			       struct shim_iommu_data *data)
{
	ops->release(data);
}

long shim_iommu_driver_ioctl(const struct vfio_iommu_driver_ops *ops,
			     struct shim_iommu_data *data, u32 cmd, u64 arg,
			     u64 *ticks)
{
	unsigned long begun = jiffies;
	long ret = ops->ioctl(data, cmd, arg);

	*ticks = jiffies - begun;
	return ret;
}

int shim_iommu_driver_attach(const struct vfio_iommu_driver_ops *ops,
			     struct shim_iommu_data *data,
			     struct iommu_group *group,
			     enum shim_group_type type)
{
	return ops->attach_group(data, group, (enum vfio_group_type)type);
}

void shim_iommu_driver_detach(const struct vfio_iommu_driver_ops *ops,
			      struct shim_iommu_data *data,
			      struct iommu_group *group)
{
	ops->detach_group(data, group);
}

void shim_iommu_driver_register(const struct vfio_iommu_driver_ops *ops,
				struct shim_iommu_data *data,
				struct vfio_device *device)
{
	ops->register_device(data, device);
}

void shim_iommu_driver_unregister(const struct vfio_iommu_driver_ops *ops,
				  struct shim_iommu_data *data,
				  struct vfio_device *device)
{
	ops->unregister_device(data, device);
}

int shim_iommu_driver_pin(const struct shim_pin_target *target, u64 iova,
			  int npages, int prot, struct page **pages)
{
	return target->ops->pin_pages(target->data, target->group, iova, npages,
				      prot, pages);
}

void shim_iommu_driver_unpin(const struct shim_pin_target *target, u64 iova,
			     int npages)
{
	target->ops->unpin_pages(target->data, iova, npages);
}

int shim_iommu_driver_dma_rw(const struct vfio_iommu_driver_ops *ops,
			     struct shim_iommu_data *data, u64 iova,
			     void *buffer, size_t size, bool write)
{
	return ops->dma_rw(data, iova, buffer, size, write);
}

void shim_iommu_driver_closed(const struct vfio_iommu_driver_ops *ops,
			      struct shim_iommu_data *data)
{
	compat_closed(ops, data);
}
