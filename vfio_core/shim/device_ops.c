// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/err.h>
#include <linux/interval_tree.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "compat/device.h"
#include "compat/exports.h"
#include "vfio_core/shim/device_ops.h"

u32 shim_device_ops(const struct vfio_device *device)
{
	const struct vfio_device_ops *ops = device->ops;
	const struct device_driver *driver = device->dev->driver;

	return (ops->init ? SHIM_DEVICE_INIT : 0) |
	       (ops->open_device ? SHIM_DEVICE_OPEN : 0) |
	       (ops->close_device ? SHIM_DEVICE_CLOSE : 0) |
	       (ops->read ? SHIM_DEVICE_READ : 0) |
	       (ops->write ? SHIM_DEVICE_WRITE : 0) |
	       (ops->ioctl ? SHIM_DEVICE_IOCTL : 0) |
	       (ops->mmap ? SHIM_DEVICE_MMAP : 0) |
	       (ops->request ? SHIM_DEVICE_REQUEST : 0) |
	       (ops->match ? SHIM_DEVICE_MATCH : 0) |
	       (ops->device_feature ? SHIM_DEVICE_FEATURE : 0) |
	       (ops->dma_unmap ? SHIM_DEVICE_DMA_UNMAP : 0) |
	       (device->mig_ops ? SHIM_DEVICE_MIGRATION : 0) |
	       (device->log_ops ? SHIM_DEVICE_LOGGING : 0) |
	       (compat_has_migration_data_size(device) ?
			SHIM_DEVICE_MIGRATION_SIZE :
			0) |
	       (compat_has_region_info(device) ? SHIM_DEVICE_REGION_INFO : 0) |
	       (compat_has_precopy_info_v2() ? SHIM_DEVICE_PRECOPY_INFO_V2 :
					       0) |
	       (driver && driver->pm ? SHIM_DEVICE_PM : 0);
}

int shim_device_driver_init(struct vfio_device *device)
{
	return device->ops->init(device);
}

void shim_device_driver_release(struct vfio_device *device)
{
	compat_device_release(device);
}

int shim_device_open(struct vfio_device *device)
{
	return device->ops->open_device(device);
}

void shim_device_close(struct vfio_device *device)
{
	device->ops->close_device(device);
}

long shim_device_read(struct vfio_device *device, u64 to, size_t size,
		      s64 *position)
{
	return device->ops->read(device, u64_to_user_ptr(to), size, position);
}

long shim_device_write(struct vfio_device *device, u64 from, size_t size,
		       s64 *position)
{
	return device->ops->write(device, u64_to_user_ptr(from), size,
				  position);
}

long shim_device_ioctl(struct vfio_device *device, u32 cmd, u64 arg)
{
	return device->ops->ioctl(device, cmd, arg);
}

int shim_device_mmap(struct vfio_device *device, struct vm_area_struct *vma)
{
	return device->ops->mmap(device, vma);
}

void shim_device_request(struct vfio_device *device, u32 count)
{
	device->ops->request(device, count);
}

int shim_device_match(struct vfio_device *device, char *name)
{
	return device->ops->match(device, name);
}

int shim_device_feature(struct vfio_device *device, u32 flags, u64 data,
			size_t size)
{
	return device->ops->device_feature(device, flags, u64_to_user_ptr(data),
					   size);
}

int shim_device_migration_get(struct vfio_device *device, u32 *state)
{
	enum vfio_device_mig_state now;
	int ret = device->mig_ops->migration_get_state(device, &now);

	if (!ret)
		*state = now;
	return ret;
}

int shim_device_migration_set(struct vfio_device *device, u32 state,
			      struct file **file)
{
	enum vfio_device_mig_state wanted = state;
	struct file *made;

	made = device->mig_ops->migration_set_state(device, wanted);
	*file = IS_ERR(made) ? NULL : made;
	return PTR_ERR_OR_ZERO(made);
}

int shim_device_migration_size(struct vfio_device *device, u64 *size)
{
	unsigned long length = 0;
	int ret = compat_migration_data_size(device, &length);

	*size = length;
	return ret;
}

void shim_device_set_precopy_info_v2(struct vfio_device *device, bool wanted)
{
	compat_device_set_precopy_info_v2(device, wanted);
}

bool shim_device_region_info_is_ours(void)
{
	return compat_core_answers_region_info();
}

int shim_device_region_info(struct vfio_device *device,
			    struct vfio_region_info *info,
			    struct vfio_info_cap_header **caps, size_t *size)
{
	struct vfio_info_cap chain = {};
	int ret = compat_region_info(device, info, &chain);

	*caps = chain.buf;
	*size = chain.size;
	return ret;
}

bool shim_device_log_works(void)
{
	return compat_can_report_dma();
}

int shim_device_log_start(struct vfio_device *device,
			  const struct shim_log_range *ranges, u32 nranges,
			  u64 *page_size)
{
	struct rb_root_cached root = RB_ROOT_CACHED;
	struct interval_tree_node *nodes;
	int ret;
	u32 i;

	nodes = kcalloc(nranges, sizeof(*nodes), GFP_KERNEL);
	if (!nodes)
		return -ENOMEM;
	for (i = 0; i < nranges; i++) {
		nodes[i].start = ranges[i].first;
		nodes[i].last = ranges[i].last;
		interval_tree_insert(&nodes[i], &root);
	}
	ret = device->log_ops->log_start(device, &root, nranges, page_size);
	kfree(nodes);
	return ret;
}

int shim_device_log_stop(struct vfio_device *device)
{
	return device->log_ops->log_stop(device);
}

int shim_device_log_read(struct vfio_device *device, u64 iova, u64 size,
			 struct iova_bitmap *bitmap)
{
	return device->log_ops->log_read_and_clear(device, iova, size, bitmap);
}
