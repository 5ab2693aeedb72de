/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The interface between vfio.ko and an IOMMU driver such as vfio_iommu_type1.ko, as
 * the kernel's own modules have it in 6.1: each of ours also works with the
 * kernel's other one. No public header declares the interface, so this one does;
 * `make lint-abi` compares it with the kernel's BTF.
 *
 * From 6.4 on struct vfio_iommu_driver_ops ends before notify, and the structures of the
 * kernel's own modules have no room for it.
 */
#ifndef COMPAT_IOMMU_DRIVER_H
#define COMPAT_IOMMU_DRIVER_H

#include <linux/types.h>
#include <linux/version.h>

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

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
/* The container's file was closed; devices may still be open. */
enum vfio_iommu_notify_type {
	VFIO_IOMMU_CONTAINER_CLOSE,
};
#endif

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
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	void (*notify)(void *iommu_data, enum vfio_iommu_notify_type event);
#endif
};

/* Whether a driver wants to know that a container's file was closed. */
static inline bool compat_wants_close(const struct vfio_iommu_driver_ops *ops)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	return ops->notify;
#else
	return false;
#endif
}

/* Tells it. Requires compat_wants_close(). */
static inline void compat_closed(const struct vfio_iommu_driver_ops *ops,
				 void *iommu_data)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
	ops->notify(iommu_data, VFIO_IOMMU_CONTAINER_CLOSE);
#endif
}

int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);

#endif
