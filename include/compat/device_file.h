/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose file a file of VFIO is, on our vfio.ko or the kernel's own, which has no merged groups.
 */
#ifndef COMPAT_DEVICE_FILE_H
#define COMPAT_DEVICE_FILE_H

#include <linux/module.h>
#include <linux/vfio.h>

#include "vfio_cxx/device_file.h"

static inline bool compat_device_owns_file(struct vfio_device *device,
					   struct file *file)
{
	bool (*ours)(struct vfio_device * device, struct file * file) =
		symbol_get(vfio_device_owns_file);
	bool owns;

	if (!ours)
		return vfio_file_has_dev(file, device);
	owns = ours(device, file);
	symbol_put(vfio_device_owns_file);
	return owns;
}

#endif
