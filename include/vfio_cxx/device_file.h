/* SPDX-License-Identifier: GPL-2.0 */
/* What vfio.ko of vfio-cxx tells other modules of the files of devices. */
#ifndef VFIO_CXX_DEVICE_FILE_H
#define VFIO_CXX_DEVICE_FILE_H

struct file;
struct vfio_device;

bool vfio_device_owns_file(struct vfio_device *device, struct file *file);

#endif
