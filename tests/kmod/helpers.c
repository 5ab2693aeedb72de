// SPDX-License-Identifier: GPL-2.0
/*
 * What vfio.ko offers to drivers besides devices, with arguments from
 * userspace: capability chains, checks of VFIO_DEVICE_SET_IRQS, and questions
 * about a file.
 */
#include <linux/file.h>
#include <linux/iommu.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "testdev.h"

static int cap_append(struct vfio_info_cap *chain,
		      const struct vfio_testdev_cap *cap)
{
	const size_t header_size = sizeof(struct vfio_info_cap_header);
	struct vfio_info_cap_header *header;
	int ret;

	if (cap->size < header_size || cap->size > PAGE_SIZE)
		return -EINVAL;
	if (!cap->copy) {
		header = vfio_info_cap_add(chain, cap->size, cap->id,
					   cap->version);
		if (IS_ERR(header))
			return PTR_ERR(header);
		/* Fill 0 shows that the core gave clean memory. */
		if (cap->fill)
			memset(header + 1, cap->fill, cap->size - header_size);
		return 0;
	}

	header = kmalloc(cap->size, GFP_KERNEL);
	if (!header)
		return -ENOMEM;
	memset(header, cap->fill, cap->size);
	header->id = cap->id;
	header->version = cap->version;
	ret = vfio_info_add_capability(chain, header, cap->size);
	kfree(header);
	return ret;
}

static long ioctl_caps(void __user *arg)
{
	struct vfio_testdev_cap caps[VFIO_TESTDEV_MAX_CAPS];
	struct vfio_testdev_caps req;
	struct vfio_info_cap chain = {};
	int ret = 0;
	u32 i;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	if (req.ncaps > VFIO_TESTDEV_MAX_CAPS)
		return -EINVAL;
	if (copy_from_user(caps, u64_to_user_ptr(req.caps),
			   req.ncaps * sizeof(caps[0])))
		return -EFAULT;

	for (i = 0; i < req.ncaps && !ret; i++)
		ret = cap_append(&chain, &caps[i]);
	/* A chain without capabilities has nothing to shift. */
	if (!ret && req.shift != ~0u && chain.size)
		vfio_info_cap_shift(&chain, req.shift);
	req.size = chain.size;
	if (!ret && req.buf_size < chain.size)
		ret = -ENOSPC;
	if (!ret && chain.size &&
	    copy_to_user(u64_to_user_ptr(req.buf), chain.buf, chain.size))
		ret = -EFAULT;
	kfree(chain.buf);
	if (!ret && copy_to_user(arg, &req, sizeof(req)))
		ret = -EFAULT;
	return ret;
}

static long ioctl_irqs(void __user *arg)
{
	struct vfio_testdev_irqs req;
	struct vfio_irq_set set = {};
	size_t data_size = ~(size_t)0;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	set.argsz = req.argsz;
	set.flags = req.flags;
	set.index = req.index;
	set.start = req.start;
	set.count = req.count;
	req.ret = vfio_set_irqs_validate_and_prepare(
		&set, req.num_irqs, req.max_irq_type,
		req.want_size ? &data_size : NULL);
	req.data_size = data_size;
	return copy_to_user(arg, &req, sizeof(req)) ? -EFAULT : 0;
}

static long ioctl_file(struct testdev *td, void __user *arg)
{
	struct vfio_testdev_file req;
	struct iommu_group *group;
	struct file *file;

	if (copy_from_user(&req, arg, sizeof(req)))
		return -EFAULT;
	file = fget(req.fd);
	if (!file)
		return -EBADF;
	req.is_group = vfio_file_is_group(file);
	req.enforced_coherent = vfio_file_enforced_coherent(file);
	req.has_dev = vfio_file_has_dev(file, &td->vdev);
	/* Only POWER's KVM gets one; whoever gets it puts it. */
	group = vfio_file_iommu_group(file);
	req.has_iommu_group = !!group;
	iommu_group_put(group);
	fput(file);
	return copy_to_user(arg, &req, sizeof(req)) ? -EFAULT : 0;
}

long testdev_helpers_ioctl(struct testdev *td, unsigned int cmd,
			   void __user *arg)
{
	switch (cmd) {
	case VFIO_TESTDEV_CAPS:
		return ioctl_caps(arg);
	case VFIO_TESTDEV_IRQS:
		return ioctl_irqs(arg);
	case VFIO_TESTDEV_FILE:
		return ioctl_file(td, arg);
	default:
		return -ENOTTY;
	}
}
