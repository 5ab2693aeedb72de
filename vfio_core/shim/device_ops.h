/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations of the driver of a struct vfio_device. Each function here calls the
 * operation of its name and returns its result; it may sleep. The caller calls an
 * operation only if its bit is in shim_device_ops(), but for release, which every
 * driver has.
 */
#ifndef SHIM_DEVICE_OPS_H
#define SHIM_DEVICE_OPS_H

#include "shim/base.h"

struct file;
struct iova_bitmap;
struct vfio_device;
struct vfio_info_cap_header;
struct vfio_region_info;
struct vm_area_struct;

/* The operations that a device's driver has. */
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
	/* Not an operation: the bus device's driver does power management. */
	SHIM_DEVICE_PM = 1 << 12,
	/* Only a driver that is told of unmaps, by dma_unmap, may pin. */
	SHIM_DEVICE_DMA_UNMAP = 1 << 13,
	SHIM_DEVICE_MIGRATION_SIZE = 1 << 14,
	SHIM_DEVICE_REGION_INFO = 1 << 15,
	/* Not an operation: drivers may ask which version of the information is wanted. */
	SHIM_DEVICE_PRECOPY_INFO_V2 = 1 << 16,
};

/**
 * struct shim_log_range - a range of IOVAs, DMA to which is to be logged
 * @first: first address
 * @last: last address
 */
struct shim_log_range {
	u64 first;
	u64 last;
};

SHIM_BEGIN

/**
 * shim_device_ops() - which operations the driver has
 * @device: the device
 *
 * Return: SHIM_DEVICE_* or-ed. Constant from registration on.
 */
u32 shim_device_ops(const struct vfio_device *device);

/**
 * shim_device_driver_init() - let the driver initialize its part of the device
 * @device: the device
 */
int shim_device_driver_init(struct vfio_device *device);

/**
 * shim_device_driver_release() - let the driver free the device
 * @device: the device
 */
void shim_device_driver_release(struct vfio_device *device);

/**
 * shim_device_open() - tell the driver before the first file is made
 * @device: the device
 */
int shim_device_open(struct vfio_device *device);

/**
 * shim_device_close() - tell the driver after the last file is closed
 * @device: the device
 */
void shim_device_close(struct vfio_device *device);

/**
 * shim_device_read() - read from the device
 * @device: the device
 * @to: user address
 * @size: bytes
 * @position: offset in the file; the driver moves it on
 */
long shim_device_read(struct vfio_device *device, u64 to, size_t size,
		      s64 *position);

/**
 * shim_device_write() - write to the device
 * @device: the device
 * @from: user address
 * @size: bytes
 * @position: offset in the file; the driver moves it on
 */
long shim_device_write(struct vfio_device *device, u64 from, size_t size,
		       s64 *position);

/**
 * shim_device_ioctl() - an ioctl that the core leaves to the driver
 * @device: the device
 * @cmd: the ioctl's number
 * @arg: the ioctl's argument
 */
long shim_device_ioctl(struct vfio_device *device, u32 cmd, u64 arg);

/**
 * shim_device_mmap() - map a region of the device
 * @device: the device
 * @vma: the mapping to fill in
 */
int shim_device_mmap(struct vfio_device *device, struct vm_area_struct *vma);

/**
 * shim_device_request() - have the driver ask the user to close the device
 * @device: the device
 * @count: how often the driver was asked before
 */
void shim_device_request(struct vfio_device *device, u32 count);

/**
 * shim_device_match() - ask the driver whether a device has a name
 * @device: the device
 * @name: the name; the driver may write to it
 *
 * Return: above 0 if it has, 0 if not, a negative errno to end the search.
 */
int shim_device_match(struct vfio_device *device, char *name);

/**
 * shim_device_feature() - a feature that the core leaves to the driver
 * @device: the device
 * @flags: those of struct vfio_device_feature
 * @data: user address of the feature's data
 * @size: bytes of the data
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
 * @file: where to put the file that carries the state's data, or NULL if none does
 *
 * Return: 0 or a negative errno.
 */
int shim_device_migration_set(struct vfio_device *device, u32 state,
			      struct file **file);

/**
 * shim_device_migration_size() - how much data stop-copy would transfer
 * @device: the device
 * @size: where to put the bytes
 *
 * Return: 0 or a negative errno.
 */
int shim_device_migration_size(struct vfio_device *device, u64 *size);

/**
 * shim_device_set_precopy_info_v2() - tell the driver which version of
 * VFIO_MIG_GET_PRECOPY_INFO userspace asked for
 * @device: the device
 * @wanted: whether it is the second, whose flags are an output
 */
void shim_device_set_precopy_info_v2(struct vfio_device *device, bool wanted);

/**
 * shim_device_region_info_is_ours() - whether VFIO_DEVICE_GET_REGION_INFO is the core's
 *
 * Return: false if it goes to the driver's ioctl like any other.
 */
bool shim_device_region_info_is_ours(void);

/**
 * shim_device_region_info() - describe a region
 * @device: the device
 * @info: the request, of which the driver reads the index; the driver fills in flags,
 *	  size and offset
 * @caps: where to put the chain of capabilities, which the caller frees, or NULL;
 *	  also after an error
 * @size: where to put the bytes of the chain
 *
 * Return: 0 or a negative errno.
 */
int shim_device_region_info(struct vfio_device *device,
			    struct vfio_region_info *info,
			    struct vfio_info_cap_header **caps, size_t *size);

/**
 * shim_device_log_works() - whether drivers can report DMA that they have logged
 *
 * Return: false if iova_bitmap_set() does nothing in this kernel.
 */
bool shim_device_log_works(void);

/**
 * shim_device_log_start() - log DMA
 * @device: the device
 * @ranges: the IOVAs; they do not overlap
 * @nranges: how many
 * @page_size: how many bytes one bit stands for; the driver may change it
 *
 * Return: 0, the driver's error, or -ENOMEM.
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
 * shim_device_log_read() - report the DMA since the last report
 * @device: the device
 * @iova: first address
 * @size: bytes
 * @bitmap: the driver calls iova_bitmap_set() on it
 */
int shim_device_log_read(struct vfio_device *device, u64 iova, u64 size,
			 struct iova_bitmap *bitmap);

SHIM_END

#endif
