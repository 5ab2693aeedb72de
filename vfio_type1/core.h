/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C side of vfio_iommu_type1.ko calls in the core: the operations of
 * an IOMMU driver, and the parameters that the core asks for.
 */
#ifndef VFIO_TYPE1_CORE_H
#define VFIO_TYPE1_CORE_H

#include "shim/base.h"

struct iommu_domain;
struct iommu_group;
struct page;
struct type1;
struct vfio_device;

SHIM_BEGIN

/**
 * type1_open() - make the IOMMU of a container
 * @extension: the type that SET_IOMMU asked for: VFIO_TYPE1_IOMMU and so on
 * @made: where to put it
 *
 * Return: 0, -EINVAL for a type that is not ours, -ENOMEM.
 */
int type1_open(u64 extension, struct type1 **made);

/**
 * type1_release() - end a container's IOMMU: unmaps, unpins, detaches all
 * @type1: the IOMMU; no group is attached any more, or none will be used
 */
void type1_release(struct type1 *type1);

/**
 * type1_ioctl() - an ioctl of the container that vfio.ko does not know
 * @type1: the IOMMU; NULL only for VFIO_CHECK_EXTENSION before SET_IOMMU
 * @cmd: the ioctl's number
 * @arg: its argument: a user address, or the extension
 *
 * Context: the calling process.
 * Return: what the ioctl returns, -ENOTTY for one that is not ours.
 */
long type1_ioctl(struct type1 *type1, u32 cmd, u64 arg);

/**
 * type1_attach_group() - give a group all mappings of the container
 * @type1: the IOMMU
 * @group: the group, its DMA owned by VFIO
 * @emulated: its devices reach memory only through type1_pin_pages()
 *
 * Return: 0; -EBUSY while addresses are being updated, -EINVAL for a group
 * that is there or whose IOVAs conflict with mappings, -EPERM without
 * interrupt remapping, -EIO without a domain, -ENOMEM, errors of pinning.
 */
int type1_attach_group(struct type1 *type1, struct iommu_group *group,
		       bool emulated);

/**
 * type1_detach_group() - undo type1_attach_group()
 * @type1: the IOMMU
 * @group: the group; the last one takes the mappings with it
 */
void type1_detach_group(struct type1 *type1, struct iommu_group *group);

/**
 * type1_pin_pages() - pin pages for a device behind an emulated IOMMU
 * @type1: the IOMMU
 * @group: the device's group
 * @iova: first address
 * @npages: how many pages, contiguous in IOVA
 * @prot: SHIM_IOMMU_READ and SHIM_IOMMU_WRITE, or-ed
 * @pages: room for @npages
 *
 * All or nothing. Each page is accounted once however often it is pinned.
 *
 * Return: @npages; -EINVAL outside mappings or if no device hears of unmaps,
 * -EPERM against the mapping's protection, -EACCES with the v1 interface,
 * -EBUSY while addresses are being updated, -EOVERFLOW, -ENOMEM, -EFAULT.
 */
int type1_pin_pages(struct type1 *type1, struct iommu_group *group, u64 iova,
		    u32 npages, u32 prot, struct page **pages);

/**
 * type1_unpin_pages() - undo type1_pin_pages()
 * @type1: the IOMMU
 * @iova: first address
 * @npages: how many pages
 */
void type1_unpin_pages(struct type1 *type1, u64 iova, u32 npages);

/**
 * type1_register_device() - a device was opened that may hear of unmaps
 * @type1: the IOMMU
 * @device: the device
 */
void type1_register_device(struct type1 *type1, struct vfio_device *device);

/**
 * type1_unregister_device() - undo type1_register_device()
 * @type1: the IOMMU
 * @device: the device
 */
void type1_unregister_device(struct type1 *type1, struct vfio_device *device);

/**
 * type1_dma_rw() - copy between a kernel buffer and mapped memory
 * @type1: the IOMMU
 * @iova: first address
 * @data: the buffer
 * @size: bytes
 * @write: into the mapped memory
 *
 * Return: 0; -EINVAL outside mappings, -EPERM against the protection or if
 * the process has gone, -EFAULT, -EBUSY while addresses are being updated.
 */
int type1_dma_rw(struct type1 *type1, u64 iova, void *data, size_t size,
		 bool write);

/**
 * type1_group_domain() - the domain that a group is attached to
 * @type1: the IOMMU
 * @group: the group
 * @domain: where to put it
 *
 * Return: 0, -ENODEV for a group that has none.
 */
int type1_group_domain(struct type1 *type1, struct iommu_group *group,
		       struct iommu_domain **domain);

/* Parameters of the module, as they are now. */

/** type1_param_allow_unsafe_interrupts() - do without interrupt remapping */
bool type1_param_allow_unsafe_interrupts(void);

/** type1_param_disable_hugepages() - map in the smallest pages only */
bool type1_param_disable_hugepages(void);

/** type1_param_dma_entry_limit() - how many mappings a container may have */
u32 type1_param_dma_entry_limit(void);

/** type1_param_pin_workers() - threads for a large mapping, 0: the CPUs */
u32 type1_param_pin_workers(void);

SHIM_END

#endif
