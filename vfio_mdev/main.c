// SPDX-License-Identifier: GPL-2.0
/* mdev.ko: sets up the core, the bus and the class of parents. */
#include <linux/module.h>

#include "entry.h"
#include "main.h"

struct class_compat *mdev_bus_class;

static int __init mdev_init(void)
{
	int ret;

	ret = mdev_core_init();
	if (ret)
		return ret;

	ret = bus_register(&mdev_bus_type);
	if (ret)
		goto err_core;

	mdev_bus_class = class_compat_register("mdev_bus");
	if (!mdev_bus_class) {
		ret = -ENOMEM;
		goto err_bus;
	}

	pr_info("mdev: mediated devices (vfio-cxx)\n");
	return 0;

err_bus:
	bus_unregister(&mdev_bus_type);
err_core:
	mdev_core_exit();
	return ret;
}

static void __exit mdev_exit(void)
{
	class_compat_unregister(mdev_bus_class);
	bus_unregister(&mdev_bus_type);
	mdev_core_exit();
}

module_init(mdev_init);
module_exit(mdev_exit);

MODULE_VERSION(VFIO_CXX_VERSION);
MODULE_INFO(supported_kernels, VFIO_CXX_KERNELS);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The vfio-cxx authors");
MODULE_DESCRIPTION("vfio-cxx: mediated devices");
