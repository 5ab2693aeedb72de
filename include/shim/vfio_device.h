/* SPDX-License-Identifier: GPL-2.0 */
/*
 * struct vfio_device, which drivers allocate and the kernel declares, and the
 * operations of its driver. The core sees it as a handle; what the core knows
 * of a device hangs off it as a struct vfio_core_device.
 *
 * An operation may be called only if its bit is in shim_device_ops().
 */
#ifndef SHIM_VFIO_DEVICE_H
#define SHIM_VFIO_DEVICE_H

#include "base.h"

struct device;
struct file;
struct iova_bitmap;
struct kvm;
struct vfio_core_device;
struct vfio_device;
struct vfio_device_ops;
struct vfio_group;
struct vm_area_struct;

/* What a device's driver has. */
enum {
	SHIM_DEVICE_INIT = 1 << 0,
	SHIM_DEVICE_OPEN = 1 << 1,
	SHIM_DEVICE_CLOSE = 1 << 2,
	SHIM_DEVICE_READ = 1 << 3,
	SHIM_DEVICE_WRITE = 1 << 4,
	SHIM_DEVICE_IOCTL = 1 << 5,
	SHIM_DEVICE_MMAP = 1 << 6,
	SHIM_DEVICE_REQUEST = 1 << 7,
	SHIM_DEVICE_MATCH = 1 << 8,
	SHIM_DEVICE_FEATURE = 1 << 9,
	SHIM_DEVICE_MIGRATION = 1 << 10,
	SHIM_DEVICE_LOGGING = 1 << 11,
	/* Its bus driver does power management. */
	SHIM_DEVICE_PM = 1 << 12,
	/* Its driver is told of unmaps, and so may pin. */
	SHIM_DEVICE_DMA_UNMAP = 1 << 13,
};

/**
 * struct shim_log_range - IOVAs of which DMA is to be logged
 * @first: first address
 * @last: last address
 */
struct shim_log_range {
	u64 first;
	u64 last;
};

SHIM_BEGIN

/* Life. */

/**
 * shim_device_min_size() - the size of a struct vfio_device
 */
size_t shim_device_min_size(void);

/**
 * shim_device_alloc() - allocate a zeroed device and what its driver adds
 * @size: bytes, at least shim_device_min_size()
 *
 * Context: may sleep.
 * Return: the device, or NULL.
 */
struct vfio_device *shim_device_alloc(size_t size);

/**
 * shim_device_free() - free what shim_device_alloc() returned
 * @device: the device
 *
 * Context: may sleep.
 */
void shim_device_free(struct vfio_device *device);

/**
 * shim_device_index_alloc() - take a free number for a device
 *
 * Context: may sleep.
 * Return: the number, -ENOMEM, or -ENOSPC if all are taken.
 */
int shim_device_index_alloc(void);

/**
 * shim_device_index_free() - give a number back
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
 * When the last goes, vfio_core_device_release() is called.
 */
void shim_device_initialize(struct vfio_device *device);

/**
 * shim_device_add() - show the device in sysfs as vfioINDEX
 * @device: the device
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_device_add(struct vfio_device *device);

/**
 * shim_device_del() - undo shim_device_add()
 * @device: the device
 *
 * Context: may sleep.
 */
void shim_device_del(struct vfio_device *device);

/**
 * shim_device_complete() - let shim_device_wait() return, once
 * @device: the device; may be gone when this returns
 *
 * Context: any.
 */
void shim_device_complete(struct vfio_device *device);

/**
 * shim_device_try_wait() - whether shim_device_complete() was called
 * @device: the device
 *
 * Return: true takes the completion: a further wait would not return.
 */
bool shim_device_try_wait(struct vfio_device *device);

/**
 * shim_device_wait() - wait for shim_device_complete()
 * @device: the device
 * @seconds: how long at most
 * @interruptible: whether a signal ends the wait
 *
 * Context: may sleep.
 * Return: 1 if it was called, 0 on time-out, -EINTR on a signal.
 */
int shim_device_wait(struct vfio_device *device, unsigned int seconds,
		     bool interruptible);

/* Fields that others read. */

/**
 * shim_device_dev() - the bus's device behind it
 * @device: the device
 */
struct device *shim_device_dev(const struct vfio_device *device);

/**
 * shim_device_name() - the name of the bus's device
 * @device: the device
 */
const char *shim_device_name(const struct vfio_device *device);

/**
 * shim_device_set_group() - write its group
 * @device: the device
 * @group: the group, or NULL when it has none
 */
void shim_device_set_group(struct vfio_device *device,
			   struct vfio_group *group);

/**
 * shim_device_set_kvm() - write the virtual machine that it serves
 * @device: the device
 * @kvm: the machine, or NULL
 */
void shim_device_set_kvm(struct vfio_device *device, struct kvm *kvm);

/**
 * shim_device_set_open_count() - write how many files have it open
 * @device: the device
 * @count: how many
 */
void shim_device_set_open_count(struct vfio_device *device, u32 count);

/**
 * shim_device_migration_flags() - what migration its driver can do
 * @device: the device
 *
 * Return: VFIO_MIGRATION_* or-ed.
 */
u32 shim_device_migration_flags(const struct vfio_device *device);

/* The driver. */

/**
 * shim_device_ops() - what the driver has
 * @device: the device
 *
 * Return: SHIM_DEVICE_* or-ed. Constant from registration on.
 */
u32 shim_device_ops(const struct vfio_device *device);

/**
 * shim_device_module_get() - keep the module of the bus driver loaded
 * @device: the device, bound to a driver
 *
 * Return: false if it is being unloaded.
 */
bool shim_device_module_get(struct vfio_device *device);

/**
 * shim_device_module_put() - undo shim_device_module_get()
 * @device: the device
 */
void shim_device_module_put(struct vfio_device *device);

/**
 * shim_device_pm_get() - wake the bus's device and keep it awake
 * @device: the device
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_device_pm_get(struct vfio_device *device);

/**
 * shim_device_pm_put() - let the bus's device sleep again
 * @device: the device
 */
void shim_device_pm_put(struct vfio_device *device);

/**
 * shim_device_warn() - a line about the device, at warning level
 * @device: the device
 * @format: printf-like format, without the newline
 */
__attribute__((format(printf, 2, 3))) void
shim_device_warn(const struct vfio_device *device, const char *format, ...);

/**
 * shim_device_info() - a line about the device, at info level, rate limited
 * @device: the device
 * @format: printf-like format, without the newline
 */
__attribute__((format(printf, 2, 3))) void
shim_device_info(const struct vfio_device *device, const char *format, ...);

/* Its operations: each calls one and returns what that returns. */

/**
 * shim_device_driver_init() - let the driver fill in its part
 * @device: the device
 */
int shim_device_driver_init(struct vfio_device *device);

/**
 * shim_device_driver_release() - let the driver free the device
 * @device: the device
 */
void shim_device_driver_release(struct vfio_device *device);

/**
 * shim_device_open() - before its first file
 * @device: the device
 */
int shim_device_open(struct vfio_device *device);

/**
 * shim_device_close() - after its last file
 * @device: the device
 */
void shim_device_close(struct vfio_device *device);

/**
 * shim_device_read() - read from the device
 * @device: the device
 * @to: user address
 * @size: bytes
 * @position: offset in the file, moved on
 */
long shim_device_read(struct vfio_device *device, u64 to, size_t size,
		      s64 *position);

/**
 * shim_device_write() - write to the device
 * @device: the device
 * @from: user address
 * @size: bytes
 * @position: offset in the file, moved on
 */
long shim_device_write(struct vfio_device *device, u64 from, size_t size,
		       s64 *position);

/**
 * shim_device_ioctl() - an ioctl that the core leaves to the driver
 * @device: the device
 * @cmd: its number
 * @arg: its argument
 */
long shim_device_ioctl(struct vfio_device *device, u32 cmd, u64 arg);

/**
 * shim_device_mmap() - map a region of the device
 * @device: the device
 * @vma: the mapping to fill in
 */
int shim_device_mmap(struct vfio_device *device, struct vm_area_struct *vma);

/**
 * shim_device_request() - ask the user, through the driver, to let go of it
 * @device: the device
 * @count: how often it was asked before
 */
void shim_device_request(struct vfio_device *device, u32 count);

/**
 * shim_device_match() - whether the driver knows it by a name
 * @device: the device
 * @name: the name; the driver may write to it
 *
 * Return: above 0 if so, 0 if not, a negative errno to end the search.
 */
int shim_device_match(struct vfio_device *device, char *name);

/**
 * shim_device_feature() - a feature that the core leaves to the driver
 * @device: the device
 * @flags: of struct vfio_device_feature
 * @data: user address of its data
 * @size: bytes of that
 */
int shim_device_feature(struct vfio_device *device, u32 flags, u64 data,
			size_t size);

/**
 * shim_device_migration_get() - ask for the migration state
 * @device: the device
 * @state: where to put it, an enum vfio_device_mig_state
 */
int shim_device_migration_get(struct vfio_device *device, u32 *state);

/**
 * shim_device_migration_set() - ask for a change of the migration state
 * @device: the device
 * @state: an enum vfio_device_mig_state, unchecked
 * @file: where to put the file of the data that flows now, or NULL
 *
 * Return: 0 or a negative errno.
 */
int shim_device_migration_set(struct vfio_device *device, u32 state,
			      struct file **file);

/**
 * shim_device_log_start() - log DMA
 * @device: the device
 * @ranges: where; they do not overlap
 * @nranges: how many
 * @page_size: bytes a bit; the driver may change it
 *
 * Return: 0 or a negative errno, -ENOMEM also of its own.
 */
int shim_device_log_start(struct vfio_device *device,
			  const struct shim_log_range *ranges, u32 nranges,
			  u64 *page_size);

/**
 * shim_device_log_stop() - stop logging DMA
 * @device: the device
 */
int shim_device_log_stop(struct vfio_device *device);

/**
 * shim_device_log_read() - report the DMA since last time, and forget it
 * @device: the device
 * @iova: first address
 * @size: bytes
 * @bitmap: the driver calls iova_bitmap_set() on it
 */
int shim_device_log_read(struct vfio_device *device, u64 iova, u64 size,
			 struct iova_bitmap *bitmap);

SHIM_END

#endif
