/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The operations of IOMMU drivers, such as vfio_iommu_type1, that registered
 * with vfio.ko. A struct shim_iommu_data is what a driver keeps for one container.
 *
 * The caller calls an operation that not every driver has only if its bit is in
 * shim_iommu_driver_ops().
 *
 * These functions may sleep, except where they say otherwise.
 */
#ifndef SHIM_IOMMU_DRIVER_H
#define SHIM_IOMMU_DRIVER_H

#include "shim/base.h"

struct iommu_domain;
struct iommu_group;
struct page;
struct shim_iommu_data;
struct vfio_device;
struct vfio_iommu_driver_ops;

/* The operations that not every driver has. A driver that pins also unpins. */
enum {
	SHIM_IOMMU_DRIVER_PIN = 1 << 0,
	SHIM_IOMMU_DRIVER_REGISTER = 1 << 1,
	SHIM_IOMMU_DRIVER_UNREGISTER = 1 << 2,
	SHIM_IOMMU_DRIVER_DMA_RW = 1 << 3,
	SHIM_IOMMU_DRIVER_CLOSED = 1 << 4,
};

/* What a group's devices do DMA through; the kernel's enum vfio_group_type. */
enum shim_group_type {
	SHIM_GROUP_IOMMU,
	SHIM_GROUP_EMULATED,
	SHIM_GROUP_NOIOMMU,
};

/**
 * struct shim_iommu_module - a module that has an IOMMU driver
 * @name: its name; NULL ends an array of modules
 * @extensions: bit n is set if the driver serves extension n, VFIO_*_IOMMU
 * @some_iommus: those of @extensions that only some IOMMUs support. A driver that
 *		 reports such an extension may fail to open or attach with it.
 */
struct shim_iommu_module {
	const char *name;
	u64 extensions;
	u64 some_iommus;
};

SHIM_BEGIN

/**
 * shim_iommu_driver_ops() - which operations a driver has
 * @ops: the driver
 *
 * Return: SHIM_IOMMU_DRIVER_* or-ed.
 */
u32 shim_iommu_driver_ops(const struct vfio_iommu_driver_ops *ops);

/**
 * shim_iommu_driver_name() - what a driver calls itself
 * @ops: the driver
 */
const char *shim_iommu_driver_name(const struct vfio_iommu_driver_ops *ops);

/**
 * shim_iommu_driver_get() - keep the driver's module loaded
 * @ops: the driver, registered
 *
 * Return: false if the module is being unloaded.
 */
bool shim_iommu_driver_get(const struct vfio_iommu_driver_ops *ops);

/**
 * shim_iommu_driver_put() - undo shim_iommu_driver_get()
 * @ops: the driver; may be gone when this returns
 */
void shim_iommu_driver_put(const struct vfio_iommu_driver_ops *ops);

/**
 * shim_iommu_driver_open() - begin to serve a container
 * @ops: the driver
 * @extension: the argument of VFIO_SET_IOMMU
 * @data: where to put the driver's data; may be NULL
 *
 * Return: 0 or a negative errno.
 */
int shim_iommu_driver_open(const struct vfio_iommu_driver_ops *ops,
			   u64 extension, struct shim_iommu_data **data);

/**
 * shim_iommu_driver_release() - end what shim_iommu_driver_open() began
 * @ops: the driver
 * @data: its data
 */
void shim_iommu_driver_release(const struct vfio_iommu_driver_ops *ops,
			       struct shim_iommu_data *data);

/**
 * shim_iommu_driver_ioctl() - an ioctl of the container
 * @ops: the driver
 * @data: its data; NULL for VFIO_CHECK_EXTENSION before open
 * @cmd: the ioctl's number
 * @arg: the ioctl's argument
 * @ticks: set to how many ticks of the timer have passed meanwhile; that costs two loads, where a
 *	   finer clock would cost as much as all else that vfio.ko does for the call
 *
 * Context: the calling process.
 * Return: what the ioctl returns.
 */
long shim_iommu_driver_ioctl(const struct vfio_iommu_driver_ops *ops,
			     struct shim_iommu_data *data, u32 cmd, u64 arg,
			     u64 *ticks);

/**
 * shim_iommu_driver_attach() - let a group's devices reach what is mapped
 * @ops: the driver
 * @data: its data
 * @group: the group; the core has claimed its DMA
 * @type: what its devices do DMA through
 *
 * Return: 0 or a negative errno.
 */
int shim_iommu_driver_attach(const struct vfio_iommu_driver_ops *ops,
			     struct shim_iommu_data *data,
			     struct iommu_group *group,
			     enum shim_group_type type);

/**
 * shim_iommu_driver_detach() - undo shim_iommu_driver_attach()
 * @ops: the driver
 * @data: its data
 * @group: the group
 */
void shim_iommu_driver_detach(const struct vfio_iommu_driver_ops *ops,
			      struct shim_iommu_data *data,
			      struct iommu_group *group);

/**
 * shim_iommu_driver_register() - tell the driver that a device is being opened
 * @ops: the driver
 * @data: its data
 * @device: the device
 */
void shim_iommu_driver_register(const struct vfio_iommu_driver_ops *ops,
				struct shim_iommu_data *data,
				struct vfio_device *device);

/**
 * shim_iommu_driver_unregister() - undo shim_iommu_driver_register()
 * @ops: the driver
 * @data: its data
 * @device: the device
 */
void shim_iommu_driver_unregister(const struct vfio_iommu_driver_ops *ops,
				  struct shim_iommu_data *data,
				  struct vfio_device *device);

/**
 * struct shim_pin_target - where a device pins
 * @ops: the driver, or NULL if the device cannot pin
 * @data: its data
 * @group: the device's group
 */
struct shim_pin_target {
	const struct vfio_iommu_driver_ops *ops;
	struct shim_iommu_data *data;
	struct iommu_group *group;
};

/**
 * shim_iommu_driver_pin() - pin the pages behind a range of IOVAs
 * @target: where to pin; its ops are not NULL
 * @iova: first address, page aligned
 * @npages: how many
 * @prot: IOMMU_READ and IOMMU_WRITE or-ed
 * @pages: room for @npages
 *
 * Return: how many were pinned, or a negative errno.
 */
int shim_iommu_driver_pin(const struct shim_pin_target *target, u64 iova,
			  int npages, int prot, struct page **pages);

/**
 * shim_iommu_driver_unpin() - undo shim_iommu_driver_pin()
 * @target: where the pages were pinned; its ops are not NULL
 * @iova: first address
 * @npages: how many
 */
void shim_iommu_driver_unpin(const struct shim_pin_target *target, u64 iova,
			     int npages);

/**
 * shim_iommu_driver_dma_rw() - copy between a kernel buffer and mapped memory
 * @ops: the driver
 * @data: its data
 * @iova: first address
 * @buffer: the buffer
 * @size: bytes
 * @write: whether to copy into the mapped memory
 *
 * Return: 0 or a negative errno.
 */
int shim_iommu_driver_dma_rw(const struct vfio_iommu_driver_ops *ops,
			     struct shim_iommu_data *data, u64 iova,
			     void *buffer, size_t size, bool write);

/**
 * shim_iommu_driver_closed() - tell the driver that the container's file was closed
 * @ops: the driver
 * @data: its data
 */
void shim_iommu_driver_closed(const struct vfio_iommu_driver_ops *ops,
			      struct shim_iommu_data *data);

SHIM_END

#endif
