// SPDX-License-Identifier: GPL-2.0
/*
 * Exports the functions of vfio_cxx/mdev_pins.h, which the kernel's own mdev.ko
 * does not have. All but one are defined in pins.cpp and pins_pin.cpp.
 */
#include <linux/err.h>
#include <linux/module.h>

#include "entry.h"

struct mdev_pins *mdev_pins_create(struct vfio_device *vdev,
				   struct device *dma_dev,
				   enum dma_data_direction dir)
{
	struct mdev_pins *pins;
	int ret = mdev_core_pins_create(vdev, dma_dev, dir, &pins);

	return ret ? ERR_PTR(ret) : pins;
}
EXPORT_SYMBOL_GPL(mdev_pins_create);
EXPORT_SYMBOL_GPL(mdev_pins_destroy);
EXPORT_SYMBOL_GPL(mdev_pins_pin);
EXPORT_SYMBOL_GPL(mdev_pins_unpin);
EXPORT_SYMBOL_GPL(mdev_pins_drop);
EXPORT_SYMBOL_GPL(mdev_pins_find);
EXPORT_SYMBOL_GPL(mdev_pins_for_each);
EXPORT_SYMBOL_GPL(mdev_pins_npages);
EXPORT_SYMBOL_GPL(mdev_pins_bytes);
