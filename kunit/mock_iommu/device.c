// SPDX-License-Identifier: GPL-2.0
/* The VFIO devices of the mock IOMMUs, and /dev/vfio_mock. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mock.h"

#define MAX_DMA SZ_64K

struct mock_vfio {
	struct vfio_device vdev;
};

static int mock_vfio_init(struct vfio_device *vdev)
{
	return 0;
}

static void mock_vfio_release(struct vfio_device *vdev)
{
	vfio_free_device(vdev);
}

static int mock_vfio_open(struct vfio_device *vdev)
{
	return 0;
}

static void mock_vfio_close(struct vfio_device *vdev)
{
}

static long mock_vfio_ioctl(struct vfio_device *vdev, unsigned int cmd,
			    unsigned long arg)
{
	struct vfio_device_info info;
	size_t minsz = offsetofend(struct vfio_device_info, num_irqs);

	if (cmd != VFIO_DEVICE_GET_INFO)
		return -ENOTTY;
	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = 0;
	info.num_regions = 0;
	info.num_irqs = 0;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

static const struct vfio_device_ops mock_vfio_ops = {
	.name = "vfio-mock",
	.init = mock_vfio_init,
	.release = mock_vfio_release,
	.open_device = mock_vfio_open,
	.close_device = mock_vfio_close,
	.ioctl = mock_vfio_ioctl,
};

int mock_vfio_create(struct mock_device *mdev)
{
	struct mock_vfio *mock;
	int ret;

	mock = vfio_alloc_device(mock_vfio, vdev, &mdev->dev, &mock_vfio_ops);
	if (IS_ERR(mock))
		return PTR_ERR(mock);
	ret = vfio_register_group_dev(&mock->vdev);
	if (ret) {
		vfio_put_device(&mock->vdev);
		return ret;
	}
	mdev->vfio = &mock->vdev;
	return 0;
}

void mock_vfio_destroy(struct mock_device *mdev)
{
	if (!mdev->vfio)
		return;
	vfio_unregister_group_dev(mdev->vfio);
	vfio_put_device(mdev->vfio);
	mdev->vfio = NULL;
}

static struct mock_device *find_device(u32 iommu, u32 device)
{
	if (iommu >= VFIO_MOCK_IOMMUS || device >= VFIO_MOCK_DEVICES)
		return NULL;
	return mock_iommus[iommu].devices[device];
}

static long control_counts(void __user *arg)
{
	struct vfio_mock_counts counts;

	if (copy_from_user(&counts, arg, sizeof(counts)))
		return -EFAULT;
	if (counts.iommu >= VFIO_MOCK_IOMMUS)
		return -ENODEV;
	mock_counts(&mock_iommus[counts.iommu], &counts);
	return copy_to_user(arg, &counts, sizeof(counts)) ? -EFAULT : 0;
}

static long control_pte(void __user *arg)
{
	struct mock_device *mdev;
	struct vfio_mock_pte pte;

	if (copy_from_user(&pte, arg, sizeof(pte)))
		return -EFAULT;
	mdev = find_device(pte.iommu, pte.device);
	if (!mdev)
		return -ENODEV;
	mock_pte(mdev, &pte);
	return copy_to_user(arg, &pte, sizeof(pte)) ? -EFAULT : 0;
}

static long control_dma(void __user *arg)
{
	struct mock_device *mdev;
	struct vfio_mock_dma dma;
	void *data;
	long ret;

	if (copy_from_user(&dma, arg, sizeof(dma)))
		return -EFAULT;
	mdev = find_device(dma.iommu, dma.device);
	if (!mdev)
		return -ENODEV;
	if (dma.size > MAX_DMA)
		return -E2BIG;
	data = kvmalloc(dma.size, GFP_KERNEL);
	if (!data)
		return -ENOMEM;

	ret = -EINVAL;
	if (dma.write &&
	    copy_from_user(data, u64_to_user_ptr(dma.data), dma.size))
		goto out;
	ret = mock_dma(mdev, dma.iova, data, dma.size, dma.write);
	if (!ret && !dma.write &&
	    copy_to_user(u64_to_user_ptr(dma.data), data, dma.size))
		ret = -EINVAL;
out:
	kvfree(data);
	return ret;
}

static long control_fail(void __user *arg)
{
	struct vfio_mock_fail fail;

	if (copy_from_user(&fail, arg, sizeof(fail)))
		return -EFAULT;
	if (fail.iommu >= VFIO_MOCK_IOMMUS || fail.kind >= VFIO_MOCK_FAIL_KINDS)
		return -ENODEV;
	fail.left = mock_fail(&mock_iommus[fail.iommu], fail.kind, fail.nth);
	return copy_to_user(arg, &fail, sizeof(fail)) ? -EFAULT : 0;
}

static long control_flags(void __user *arg)
{
	struct vfio_mock_flags flags;

	if (copy_from_user(&flags, arg, sizeof(flags)))
		return -EFAULT;
	if (flags.iommu >= VFIO_MOCK_IOMMUS)
		return -ENODEV;
	WRITE_ONCE(mock_iommus[flags.iommu].flags, flags.flags);
	return 0;
}

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	void __user *uarg = (void __user *)arg;

	switch (cmd) {
	case VFIO_MOCK_COUNTS:
		return control_counts(uarg);
	case VFIO_MOCK_PTE:
		return control_pte(uarg);
	case VFIO_MOCK_DMA:
		return control_dma(uarg);
	case VFIO_MOCK_FAIL:
		return control_fail(uarg);
	case VFIO_MOCK_FLAGS:
		return control_flags(uarg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = control_ioctl,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vfio_mock",
	.fops = &control_fops,
};

int mock_control_create(void)
{
	return misc_register(&control);
}

void mock_control_destroy(void)
{
	misc_deregister(&control);
}

static int __init mock_init(void)
{
	int ret = mock_iommus_create();

	if (ret)
		return ret;
	ret = mock_control_create();
	if (ret)
		mock_iommus_destroy();
	return ret;
}

static void __exit mock_exit(void)
{
	mock_control_destroy();
	mock_iommus_destroy();
}

module_init(mock_init);
module_exit(mock_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: mock IOMMUs with VFIO devices, for tests");
