/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The devices of a container that are open. vfio.ko tells an IOMMU driver when one is
 * opened and closed, and leaves room in struct vfio_device for the driver's list.
 *
 * Locks: the owner of a list has a lock, held exclusively to add and remove.
 */
#ifndef SHIM_OPEN_DEVICES_H
#define SHIM_OPEN_DEVICES_H

#include "shim/base.h"

struct iommu_group;
struct kvm;
struct vfio_device;

/** struct shim_open_devices - a list of devices */
struct shim_open_devices {
	u64 storage[2];
};

SHIM_BEGIN

/**
 * shim_open_devices_init() - make an empty list
 * @devices: storage
 */
void shim_open_devices_init(struct shim_open_devices *devices);

/**
 * shim_open_devices_add() - put a device on a list
 * @devices: the list
 * @device: a device, which is on no list
 */
void shim_open_devices_add(struct shim_open_devices *devices,
			   struct vfio_device *device);

/**
 * shim_open_devices_remove() - take a device off its list
 * @device: the device
 */
void shim_open_devices_remove(struct vfio_device *device);

/**
 * shim_open_devices_find() - the IOMMU group of the device that a file belongs to
 * @devices: the list
 * @fd: a descriptor of the calling process, for the file of a VFIO group or, with our vfio.ko,
 *      of a device
 *
 * Return: the group, which lives as long as the device is on the list; NULL if @fd
 * belongs to none of them.
 */
struct iommu_group *
shim_open_devices_find(const struct shim_open_devices *devices, int fd);

/**
 * shim_device_group() - the IOMMU group of a device
 * @device: a device that is open, or is being closed
 *
 * Return: the group, which the device keeps.
 */
struct iommu_group *shim_device_group(struct vfio_device *device);

/**
 * shim_open_devices_kvm() - the virtual machine for which a device of a group was opened
 * @devices: the list
 * @group: an IOMMU group
 *
 * Return: what vfio.ko has stored in the first device of @group on the list that has any;
 * NULL if none has. The machine may not be used, only compared.
 */
struct kvm *shim_open_devices_kvm(const struct shim_open_devices *devices,
				  const struct iommu_group *group);

SHIM_END

#endif
