// SPDX-License-Identifier: GPL-2.0
/*
 * An instance as a vfio_device that looks like a PCI device: opening, its
 * regions, and the way of ioctls to what they ask for.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "copy.h"

/* Where a region begins in the device's file. */
#define REGION_SHIFT 40

static int mc_init_dev(struct vfio_device *vdev)
{
	struct mc *mc = to_mc(vdev);
	int ret;

	mc->parent = mc_parent_of(vdev->dev, &mc->entries);
	mc->doorbell = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!mc->doorbell)
		return -ENOMEM;
	ret = mc_pages_create(mc);
	if (ret) {
		__free_page(mc->doorbell);
		return ret;
	}
	mutex_init(&mc->control);
	mutex_init(&mc->lock);
	mutex_init(&mc->dma_lock);
	atomic_set(&mc->dropping, 0);
	init_waitqueue_head(&mc->dropped);
	init_waitqueue_head(&mc->wake);
	init_waitqueue_head(&mc->quiet);
	return 0;
}

static void mc_release_dev(struct vfio_device *vdev)
{
	struct mc *mc = to_mc(vdev);

	mc_pages_destroy(mc);
	__free_page(mc->doorbell);
	compat_free_device(vdev);
}

static int mc_open(struct vfio_device *vdev)
{
	struct mc *mc = to_mc(vdev);

	mc_config_reset(mc);
	mc_regs_init(mc);
	/* What an earlier user left; the worker is not asleep before it runs. */
	clear_page(page_address(mc->doorbell));
	return mc_worker_start(mc);
}

static void mc_close(struct vfio_device *vdev)
{
	struct mc *mc = to_mc(vdev);

	mc_worker_stop(mc);
	mc_pages_drop(mc, 0, U64_MAX);
	mc_irq_release(mc);
}

static void mc_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
	mc_pages_drop(to_mc(vdev), iova, length);
}

static void mc_request(struct vfio_device *vdev, unsigned int count)
{
	struct mc *mc = to_mc(vdev);

	mutex_lock(&mc->lock);
	mc_signal_locked(mc, MC_EVENT_REQUEST);
	mutex_unlock(&mc->lock);
}

/* ---- regions ---- */

static u32 mc_region_size(u32 index)
{
	switch (index) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		return MDEV_COPY_BAR0_SIZE;
	case VFIO_PCI_BAR2_REGION_INDEX:
		return MDEV_COPY_BAR2_SIZE;
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return MC_CONFIG_SIZE;
	default:
		return 0;
	}
}

static u32 mc_region_read32(struct mc *mc, u32 index, u32 offset)
{
	return index == VFIO_PCI_BAR0_REGION_INDEX ?
		       mc_regs_read(mc, offset) :
		       mc_doorbell_read(mc, offset);
}

static void mc_region_write32(struct mc *mc, u32 index, u32 offset, u32 value)
{
	if (index == VFIO_PCI_BAR0_REGION_INDEX)
		mc_regs_write(mc, offset, value);
	else
		mc_doorbell_write(mc, offset, value);
}

/* Configuration space is accessed in any size at any offset. */
static int mc_config_access(struct mc *mc, char __user *buf, u32 offset,
			    u32 count, bool write)
{
	u8 bytes[MC_CONFIG_SIZE];
	u32 i;

	if (write && copy_from_user(bytes, buf, count))
		return -EFAULT;
	mutex_lock(&mc->lock);
	for (i = 0; i < count; i++) {
		if (write)
			mc_config_write(mc, offset + i, bytes[i]);
		else
			bytes[i] = mc_config_read(mc, offset + i);
	}
	mutex_unlock(&mc->lock);
	/* With bus mastering on there may be something to do. */
	if (write)
		mc_kick(mc);
	else if (copy_to_user(buf, bytes, count))
		return -EFAULT;
	return 0;
}

static int mc_bar_access(struct mc *mc, char __user *buf, u32 index, u32 offset,
			 u32 count, bool write)
{
	__le32 value;
	u32 at;

	if ((offset | count) % sizeof(value))
		return -EINVAL;
	for (at = 0; at < count; at += sizeof(value)) {
		if (write) {
			if (copy_from_user(&value, buf + at, sizeof(value)))
				return -EFAULT;
			mc_region_write32(mc, index, offset + at,
					  le32_to_cpu(value));
		} else {
			value = cpu_to_le32(
				mc_region_read32(mc, index, offset + at));
			if (copy_to_user(buf + at, &value, sizeof(value)))
				return -EFAULT;
		}
	}
	return 0;
}

static ssize_t mc_access(struct mc *mc, char __user *buf, size_t count,
			 loff_t *ppos, bool write)
{
	u64 offset = *ppos & ((1ull << REGION_SHIFT) - 1);
	u64 index = *ppos >> REGION_SHIFT;
	u32 size = index < VFIO_PCI_NUM_REGIONS ? mc_region_size(index) : 0;
	int ret;

	if (offset >= size)
		return -EINVAL;
	count = min_t(size_t, count, size - offset);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		ret = mc_config_access(mc, buf, offset, count, write);
	else
		ret = mc_bar_access(mc, buf, index, offset, count, write);
	if (ret)
		return ret;
	*ppos += count;
	return count;
}

static ssize_t mc_read(struct vfio_device *vdev, char __user *buf, size_t count,
		       loff_t *ppos)
{
	return mc_access(to_mc(vdev), buf, count, ppos, false);
}

static ssize_t mc_write(struct vfio_device *vdev, const char __user *buf,
			size_t count, loff_t *ppos)
{
	return mc_access(to_mc(vdev), (char __user *)buf, count, ppos, true);
}

static int mc_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct mc *mc = to_mc(vdev);
	const pgoff_t first = (pgoff_t)VFIO_PCI_BAR2_REGION_INDEX
			      << (REGION_SHIFT - PAGE_SHIFT);

	if (vma->vm_pgoff != first || vma_pages(vma) != 1 ||
	    !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	return vm_insert_page(vma, vma->vm_start, mc->doorbell);
}

/* ---- ioctls ---- */

static long mc_device_info(void __user *arg)
{
	const unsigned long size =
		offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, arg, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(arg, &info, size) ? -EFAULT : 0;
}

static int mc_region_info(struct vfio_device *vdev,
			  struct vfio_region_info *info,
			  struct vfio_info_cap *caps)
{
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;
	info->cap_offset = 0;
	info->size = mc_region_size(info->index);
	info->offset = (u64)info->index << REGION_SHIFT;
	info->flags = 0;
	if (info->size)
		info->flags = VFIO_REGION_INFO_FLAG_READ |
			      VFIO_REGION_INFO_FLAG_WRITE;
	if (info->index == VFIO_PCI_BAR2_REGION_INDEX)
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	return 0;
}

static long mc_ioctl(struct vfio_device *vdev, unsigned int cmd,
		     unsigned long uarg)
{
	struct mc *mc = to_mc(vdev);
	void __user *arg = (void __user *)uarg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return mc_device_info(arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return compat_region_info_ioctl(vdev, arg, mc_region_info);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return mc_irq_info(mc, arg);
	case VFIO_DEVICE_SET_IRQS:
		return mc_set_irqs(mc, arg);
	case VFIO_DEVICE_RESET:
		mc_reset(mc);
		return 0;
	default:
		return -ENOTTY;
	}
}

const struct vfio_device_ops mc_device_ops = {
	.name = "mdev_copy",
	.init = mc_init_dev,
	.release = mc_release_dev,
	.open_device = mc_open,
	.close_device = mc_close,
	.read = mc_read,
	.write = mc_write,
	.ioctl = mc_ioctl,
#ifdef COMPAT_HAS_REGION_INFO
	.get_region_info_caps = mc_region_info,
#endif
	.mmap = mc_mmap,
	.request = mc_request,
	.dma_unmap = mc_dma_unmap,
};
