// SPDX-License-Identifier: GPL-2.0
/*
 * vfio.ko: the module. Sets up the core, the classes, the numbers of groups'
 * character devices, and last /dev/vfio/vfio, after which userspace can call.
 */
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "compat/class.h"
#include "compat/uapi.h"
#include "entry.h"
#include "main.h"
#include "uapi/vfio_zpci.h"
#include "vfio_core/shim/iommu_driver.h"
#include "vfio_core/shim/virqfd.h"

/*
 * Modules that have IOMMU drivers, and the extensions that each serves. A module
 * is loaded when userspace asks for one of its extensions and no registered driver
 * supports it. Those that initramfs tools must take along with vfio.ko are in
 * MODULE_SOFTDEP() below as well.
 */
static const struct shim_iommu_module vfio_iommu_modules[] = {
	{
		.name = "vfio_iommu_type1",
		.extensions = BIT(VFIO_TYPE1_IOMMU) | BIT(VFIO_TYPE1v2_IOMMU) |
			      BIT(VFIO_TYPE1_NESTING_IOMMU),
		.some_iommus = BIT(VFIO_TYPE1_NESTING_IOMMU),
	},
	{
		.name = "vfio_zpci",
		.extensions = BIT_ULL(VFIO_ZPCI_IOMMU),
	},
	{}
};

struct class *vfio_group_class;
struct class *vfio_device_class;
dev_t vfio_group_devt;

static char *vfio_devnode(compat_devnode_device *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "vfio/%s", dev_name(dev));
}

static struct miscdevice vfio_container_misc = {
	.minor = VFIO_MINOR,
	.name = "vfio",
	.nodename = "vfio/vfio",
	.mode = 0666,
	.fops = &vfio_container_fops,
};

static int __init vfio_init(void)
{
	int ret;

	ret = vfio_core_init(&vfio_noiommu_ops, vfio_iommu_modules);
	if (ret)
		return ret;

	ret = shim_virqfd_init();
	if (ret)
		goto err_core;

	vfio_group_class = compat_class_create("vfio");
	if (IS_ERR(vfio_group_class)) {
		ret = PTR_ERR(vfio_group_class);
		goto err_virqfd;
	}
	vfio_group_class->devnode = vfio_devnode;

	vfio_device_class = compat_class_create("vfio-dev");
	if (IS_ERR(vfio_device_class)) {
		ret = PTR_ERR(vfio_device_class);
		goto err_group_class;
	}

	vfio_shim_debugfs_init();

	ret = alloc_chrdev_region(&vfio_group_devt, 0, MINORMASK + 1, "vfio");
	if (ret)
		goto err_device_class;

	ret = misc_register(&vfio_container_misc);
	if (ret)
		goto err_chrdev;

	pr_info("vfio: VFIO core (vfio-cxx)\n");
	return 0;

err_chrdev:
	unregister_chrdev_region(vfio_group_devt, MINORMASK + 1);
err_device_class:
	vfio_shim_debugfs_cleanup();
	class_destroy(vfio_device_class);
err_group_class:
	class_destroy(vfio_group_class);
err_virqfd:
	shim_virqfd_exit();
err_core:
	vfio_core_exit();
	return ret;
}

static void __exit vfio_exit(void)
{
	misc_deregister(&vfio_container_misc);
	unregister_chrdev_region(vfio_group_devt, MINORMASK + 1);
	vfio_shim_debugfs_cleanup();
	class_destroy(vfio_device_class);
	class_destroy(vfio_group_class);
	shim_virqfd_exit();
	vfio_shim_device_cleanup();
	vfio_shim_group_node_cleanup();
	vfio_core_exit();
}

module_init(vfio_init);
module_exit(vfio_exit);

MODULE_VERSION(VFIO_CXX_VERSION);
MODULE_INFO(supported_kernels, VFIO_CXX_KERNELS);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: VFIO core");
MODULE_ALIAS_MISCDEV(VFIO_MINOR);
MODULE_ALIAS("devname:vfio/vfio");
MODULE_SOFTDEP("post: vfio_iommu_type1 vfio_iommu_spapr_tce");
