/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interface between vfio.ko and an IOMMU driver such as vfio_iommu_type1.ko, as
 * the kernel's own modules have it in 6.1: each of ours also works with the
 * kernel's other one. No public header declares the interface, so this one does;
 * `make lint-abi` compares it with the kernel's BTF.
 *
 * In later kernels struct vfio_iommu_driver_ops ends before notify.
 */
#ifndef COMPAT_IOMMU_DRIVER_H
#define COMPAT_IOMMU_DRIVER_H

#include <linux/types.h>

struct iommu_domain;
struct iommu_group;
struct module;
struct page;
struct vfio_device;

/* What a group's devices do DMA through: an IOMMU, a driver that emulates one, nothing. */
enum vfio_group_type {
	VFIO_IOMMU,
	VFIO_EMULATED_IOMMU,
	VFIO_NO_IOMMU,
};

/* The container's file was closed; devices may still be open. */
enum vfio_iommu_notify_type {
	VFIO_IOMMU_CONTAINER_CLOSE,
};

struct vfio_iommu_driver_ops {
	char *name;
	struct module *owner;
	void *(*open)(unsigned long extension);
	void (*release)(void *iommu_data);
	long (*ioctl)(void *iommu_data, unsigned int cmd, unsigned long arg);
	int (*attach_group)(void *iommu_data, struct iommu_group *group,
			    enum vfio_group_type type);
	void (*detach_group)(void *iommu_data, struct iommu_group *group);
	int (*pin_pages)(void *iommu_data, struct iommu_group *group,
			 dma_addr_t iova, int npage, int prot,
			 struct page **pages);
	void (*unpin_pages)(void *iommu_data, dma_addr_t iova, int npage);
	void (*register_device)(void *iommu_data, struct vfio_device *device);
	void (*unregister_device)(void *iommu_data, struct vfio_device *device);
	int (*dma_rw)(void *iommu_data, dma_addr_t iova, void *data,
		      size_t size, bool write);
	struct iommu_domain *(*group_iommu_domain)(void *iommu_data,
						   struct iommu_group *group);
	void (*notify)(void *iommu_data, enum vfio_iommu_notify_type event);
};

int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);

#endif
