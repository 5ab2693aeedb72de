/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct vfio_device, which the kernel declares and a driver allocates: its
 * life, its fields, and the bus's device and driver behind it. The core sees a
 * vfio_device as a handle; the device's driver data points to the core's own object,
 * a struct vfio_core_device.
 *
 * These functions may sleep, except where they say otherwise.
 */
#ifndef SHIM_DEVICE_H
#define SHIM_DEVICE_H

#include "shim/base.h"

struct device;
struct kvm;
struct vfio_core_device;
struct vfio_device;
struct vfio_device_ops;
struct vfio_group;

SHIM_BEGIN

/* The life of a device. */

/**
 * shim_device_min_size() - the size of a struct vfio_device
 */
size_t shim_device_min_size(void);

/**
 * shim_device_alloc() - allocate the driver's structure of a device, zeroed
 * @size: bytes, at least shim_device_min_size(); a vfio_device comes first
 *
 * Return: the device, or NULL.
 */
struct vfio_device *shim_device_alloc(size_t size);

/**
 * shim_device_free() - free what shim_device_alloc() returned
 * @device: the device
 */
void shim_device_free(struct vfio_device *device);

/**
 * shim_device_index_alloc() - take a free number for a device
 *
 * Return: the number, -ENOMEM, or -ENOSPC if all are taken.
 */
int shim_device_index_alloc(void);

/**
 * shim_device_index_free() - undo shim_device_index_alloc()
 * @index: the number
 */
void shim_device_index_free(int index);

/**
 * shim_device_setup() - fill in a zeroed device
 * @device: the device
 * @dev: the bus's device behind it
 * @ops: its driver's operations
 * @index: its number
 * @core: the core's object for it
 */
void shim_device_setup(struct vfio_device *device, struct device *dev,
		       const struct vfio_device_ops *ops, int index,
		       struct vfio_core_device *core);

/**
 * shim_device_initialize() - begin the kernel's count of references
 * @device: the device
 *
 * vfio_core_device_release() is called when the last reference is dropped.
 */
void shim_device_initialize(struct vfio_device *device);

/**
 * shim_device_add() - show the device in sysfs as vfioINDEX
 * @device: the device
 *
 * Return: 0 or a negative errno.
 */
int shim_device_add(struct vfio_device *device);

/**
 * shim_device_del() - undo shim_device_add()
 * @device: the device
 */
void shim_device_del(struct vfio_device *device);

/**
 * shim_device_complete() - let one shim_device_wait() return
 * @device: the device; may be freed before this returns to its caller
 *
 * Context: any.
 */
void shim_device_complete(struct vfio_device *device);

/**
 * shim_device_try_wait() - shim_device_wait() without waiting
 * @device: the device
 *
 * Return: whether shim_device_complete() was called.
 */
bool shim_device_try_wait(struct vfio_device *device);

/**
 * shim_device_wait() - wait for shim_device_complete()
 * @device: the device
 * @seconds: how long at most
 * @interruptible: whether a signal ends the wait
 *
 * Return: 1 if shim_device_complete() was called, 0 on time-out, -EINTR on a signal.
 */
int shim_device_wait(struct vfio_device *device, unsigned int seconds,
		     bool interruptible);

/* Fields that drivers and the kernel read. */

/**
 * shim_device_dev() - the bus's device behind a device
 * @device: the device
 */
struct device *shim_device_dev(const struct vfio_device *device);

/**
 * shim_device_name() - the name of the bus's device
 * @device: the device
 */
const char *shim_device_name(const struct vfio_device *device);

/**
 * shim_device_set_group() - write the device's group
 * @device: the device
 * @group: the group, or NULL
 */
void shim_device_set_group(struct vfio_device *device,
			   struct vfio_group *group);

/**
 * shim_device_set_kvm() - write the virtual machine that the device serves
 * @device: the device
 * @kvm: the machine, or NULL
 */
void shim_device_set_kvm(struct vfio_device *device, struct kvm *kvm);

/**
 * shim_device_set_open_count() - write how many files of the device are open
 * @device: the device
 * @count: how many
 */
void shim_device_set_open_count(struct vfio_device *device, u32 count);

/**
 * shim_device_migration_flags() - what kinds of migration the driver can do
 * @device: the device
 *
 * Return: VFIO_MIGRATION_* or-ed.
 */
u32 shim_device_migration_flags(const struct vfio_device *device);

/* The bus's device and its driver. */

/**
 * shim_device_module_get() - keep the module of the bus driver loaded
 * @device: the device, whose bus device is bound to a driver
 *
 * Return: false if the module is being unloaded.
 */
bool shim_device_module_get(struct vfio_device *device);

/**
 * shim_device_module_put() - undo shim_device_module_get()
 * @device: the device
 */
void shim_device_module_put(struct vfio_device *device);

/**
 * shim_device_driver_name() - the name of the bus driver, or of the bus if there is none
 * @device: the device, registered
 */
const char *shim_device_driver_name(const struct vfio_device *device);

/**
 * shim_device_pm_get() - wake the bus's device and keep it awake
 * @device: the device
 *
 * Return: 0 or a negative errno.
 */
int shim_device_pm_get(struct vfio_device *device);

/**
 * shim_device_pm_put() - let the bus's device sleep again
 * @device: the device
 */
void shim_device_pm_put(struct vfio_device *device);

/**
 * shim_device_warn() - log a line about the device, at warning level
 * @device: the device
 * @format: printf-like format, without the newline
 */
__attribute__((format(printf, 2, 3))) void
shim_device_warn(const struct vfio_device *device, const char *format, ...);

/**
 * shim_device_info() - log a line about the device, at info level, rate limited
 * @device: the device
 * @format: printf-like format, without the newline
 */
__attribute__((format(printf, 2, 3))) void
shim_device_info(const struct vfio_device *device, const char *format, ...);

SHIM_END

#endif
