/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C side of vfio.ko calls in the core: the operations of its three
 * kinds of files, and what its exported functions do.
 *
 * An unsuccessful call returns a negative errno and has done nothing, unless it
 * says otherwise. All may sleep unless they say otherwise.
 */
#ifndef VFIO_CORE_ENTRY_H
#define VFIO_CORE_ENTRY_H

#include "shim/base.h"

struct device;
struct file;
struct iommu_group;
struct iova_bitmap;
struct kvm;
struct page;
struct vfio_container;
struct vfio_core_device;
struct vfio_core_device_set;
struct vfio_device;
struct vfio_device_ops;
struct vfio_group;
struct vfio_info_cap_header;
struct vfio_iommu_driver_ops;
struct vfio_irq_set;
struct vm_area_struct;

SHIM_BEGIN

/* The module. */

/**
 * vfio_core_init() - set the core up; before anything else
 * @noiommu: the IOMMU driver of no-IOMMU mode
 *
 * Return: 0 or -ENOMEM.
 */
int vfio_core_init(const struct vfio_iommu_driver_ops *noiommu);

/**
 * vfio_core_exit() - undo vfio_core_init(); nothing is registered or open
 */
void vfio_core_exit(void);

/* The container's file. */

/**
 * vfio_core_container_open() - make a container
 * @container: where to put it
 *
 * Return: 0 or -ENOMEM.
 */
int vfio_core_container_open(struct vfio_container **container);

/**
 * vfio_core_container_close() - its file was closed; groups may keep it
 * @container: the container
 */
void vfio_core_container_close(struct vfio_container *container);

/**
 * vfio_core_container_ioctl() - VFIO_GET_API_VERSION, VFIO_CHECK_EXTENSION,
 * VFIO_SET_IOMMU; all others are the IOMMU driver's
 * @container: the container
 * @cmd: the ioctl's number
 * @arg: its argument
 */
long vfio_core_container_ioctl(struct vfio_container *container, u32 cmd,
			       u64 arg);

/* A group's file. */

/**
 * vfio_core_group_open() - open a group, once at a time
 * @group: the group
 * @file: the file
 *
 * Return: 0, -EBUSY if it is open, -EPERM without the right to no-IOMMU,
 * -ENODEV if its last device has gone.
 */
int vfio_core_group_open(struct vfio_group *group, struct file *file);

/**
 * vfio_core_group_close() - its file and those of its devices were closed
 * @group: the group
 */
void vfio_core_group_close(struct vfio_group *group);

/**
 * vfio_core_group_ioctl() - VFIO_GROUP_*
 * @group: the group
 * @cmd: the ioctl's number
 * @arg: its argument
 */
long vfio_core_group_ioctl(struct vfio_group *group, u32 cmd, u64 arg);

/**
 * vfio_core_group_destroy() - nothing refers to a group any more
 * @group: the group
 */
void vfio_core_group_destroy(struct vfio_group *group);

/* A device's file. */

/**
 * vfio_core_device_close() - one of its files was closed
 * @device: the device; may be gone when this returns
 */
void vfio_core_device_close(struct vfio_core_device *device);

/**
 * vfio_core_device_read() - read(2), pread(2)
 * @device: the device
 * @to: user address
 * @size: bytes
 * @position: in the file
 */
long vfio_core_device_read(struct vfio_core_device *device, u64 to, size_t size,
			   s64 *position);

/**
 * vfio_core_device_write() - write(2), pwrite(2)
 * @device: the device
 * @from: user address
 * @size: bytes
 * @position: in the file
 */
long vfio_core_device_write(struct vfio_core_device *device, u64 from,
			    size_t size, s64 *position);

/**
 * vfio_core_device_ioctl() - VFIO_DEVICE_FEATURE; all others are the driver's
 * @device: the device
 * @cmd: the ioctl's number
 * @arg: its argument
 */
long vfio_core_device_ioctl(struct vfio_core_device *device, u32 cmd, u64 arg);

/**
 * vfio_core_device_mmap() - mmap(2)
 * @device: the device
 * @vma: the mapping to fill in
 */
int vfio_core_device_mmap(struct vfio_core_device *device,
			  struct vm_area_struct *vma);

/* No-IOMMU mode's IOMMU driver. */

/**
 * vfio_core_noiommu_open() - SET_IOMMU for no-IOMMU
 * @extension: its argument
 *
 * Return: 0, -EINVAL for any other extension, -EPERM without CAP_SYS_RAWIO.
 */
int vfio_core_noiommu_open(u64 extension);

/**
 * vfio_core_noiommu_ioctl() - an ioctl of a no-IOMMU container
 * @cmd: its number
 * @arg: its argument
 */
long vfio_core_noiommu_ioctl(u32 cmd, u64 arg);

/* Exported to IOMMU drivers. */

/**
 * vfio_core_register_iommu_driver() - vfio_register_iommu_driver()
 * @ops: the driver
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int vfio_core_register_iommu_driver(const struct vfio_iommu_driver_ops *ops);

/**
 * vfio_core_unregister_iommu_driver() - vfio_unregister_iommu_driver()
 * @ops: the driver, in use by no container
 */
void vfio_core_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops);

/* Exported to drivers of devices. */

/**
 * vfio_core_device_alloc() - _vfio_alloc_device()
 * @size: bytes
 * @dev: the bus's device
 * @ops: its driver
 * @device: where to put it
 *
 * Return: 0, -EINVAL, -ENOMEM, -ENOSPC, what the driver's init returned.
 */
int vfio_core_device_alloc(size_t size, struct device *dev,
			   const struct vfio_device_ops *ops,
			   struct vfio_device **device);

/**
 * vfio_core_device_init() - vfio_init_device()
 * @device: the device, zeroed
 * @dev: the bus's device
 * @ops: its driver
 *
 * Return: 0, -ENOMEM, -ENOSPC, what the driver's init returned.
 */
int vfio_core_device_init(struct vfio_device *device, struct device *dev,
			  const struct vfio_device_ops *ops);

/**
 * vfio_core_device_release() - the kernel's last reference to it has gone
 * @device: the device; gone when this returns
 */
void vfio_core_device_release(struct vfio_core_device *device);

/**
 * vfio_core_device_register() - vfio_register_group_dev()
 * @device: the device
 *
 * Return: 0, -EINVAL, -EBUSY, -ENOMEM, -ENOSPC, an error of sysfs.
 */
int vfio_core_device_register(struct vfio_core_device *device);

/**
 * vfio_core_device_register_emulated() - vfio_register_emulated_iommu_dev()
 * @device: the device
 *
 * Return: as vfio_core_device_register().
 */
int vfio_core_device_register_emulated(struct vfio_core_device *device);

/**
 * vfio_core_device_unregister() - vfio_unregister_group_dev()
 * @device: the device, registered
 *
 * Waits until it is not used.
 */
void vfio_core_device_unregister(struct vfio_core_device *device);

/**
 * vfio_core_device_assign_set() - vfio_assign_device_set()
 * @device: the device, in no set
 * @id: same for all of a set, not 0
 *
 * Return: 0, -EINVAL or -ENOMEM.
 */
int vfio_core_device_assign_set(struct vfio_core_device *device, u64 id);

/**
 * vfio_core_device_set_open_count() - how many files the devices have
 * @set: the set; the caller holds its lock
 */
u32 vfio_core_device_set_open_count(struct vfio_core_device_set *set);

/**
 * vfio_core_migration_next() - vfio_mig_get_next_state()
 * @device: the device
 * @from: the state that it is in
 * @to: the state that was asked for
 * @next: where to put the first step
 *
 * Return: 0 or -EINVAL. Does not sleep.
 */
int vfio_core_migration_next(struct vfio_core_device *device, u32 from, u32 to,
			     u32 *next);

/**
 * vfio_core_device_pin() - vfio_pin_pages()
 * @device: the device, open
 * @iova: first address
 * @npages: how many
 * @prot: IOMMU_READ and IOMMU_WRITE or-ed
 * @pages: room for @npages
 *
 * Return: @npages; -EINVAL, -E2BIG, -ENOTTY, the IOMMU driver's error.
 */
int vfio_core_device_pin(struct vfio_core_device *device, u64 iova, int npages,
			 int prot, struct page **pages);

/**
 * vfio_core_device_unpin() - vfio_unpin_pages()
 * @device: the device, open
 * @iova: first address
 * @npages: how many
 */
void vfio_core_device_unpin(struct vfio_core_device *device, u64 iova,
			    int npages);

/**
 * vfio_core_device_dma_rw() - vfio_dma_rw()
 * @device: the device, open
 * @iova: first address
 * @buffer: the kernel's buffer
 * @size: bytes
 * @write: to user memory, not from it
 *
 * Return: 0; -EINVAL, -ENOTTY, the IOMMU driver's error.
 */
int vfio_core_device_dma_rw(struct vfio_core_device *device, u64 iova,
			    void *buffer, size_t size, bool write);

/**
 * vfio_core_check_irq_set() - vfio_set_irqs_validate_and_prepare()
 * @set: the request's header
 * @nirqs: how many interrupts the index has
 * @nindexes: how many indexes there are
 * @data_size: where to put how many bytes follow, or NULL
 *
 * Return: 0 or -EINVAL. Does not sleep.
 */
int vfio_core_check_irq_set(const struct vfio_irq_set *set, int nirqs,
			    int nindexes, size_t *data_size);

/**
 * vfio_core_iova_bitmap_set() - mark IOVAs as written by the device
 * @bitmap: the bitmap, given to the driver's log_read_and_clear
 * @iova: first address
 * @size: bytes
 *
 * What lies outside the range that the driver was asked about is left alone,
 * but what is past it and inside the request will be marked in its turn.
 *
 * Context: does not sleep.
 */
void vfio_core_iova_bitmap_set(struct iova_bitmap *bitmap, u64 iova, u64 size);

/* Chains of capabilities in answers to GET_INFO ioctls. */

/**
 * vfio_core_info_cap_add() - put a capability at the end of a chain
 * @buffer: the chain, allocated with kmalloc(); moved. Freed and NULL after
 *	    an error
 * @size: its size in bytes, kept; 0 after an error
 * @cap_size: bytes of the capability with its header
 * @id: its id
 * @version: its version
 * @added: where to put its address; all but its header is zero
 *
 * Return: 0, -ENOMEM, -EINVAL if @cap_size is impossible.
 */
int vfio_core_info_cap_add(struct vfio_info_cap_header **buffer, size_t *size,
			   size_t cap_size, u16 id, u16 version,
			   struct vfio_info_cap_header **added);

/**
 * vfio_core_info_cap_copy() - put a copy of a capability at the end of a chain
 * @buffer: as for vfio_core_info_cap_add()
 * @size: likewise
 * @cap: the capability with its header
 * @cap_size: its bytes
 *
 * Return: as vfio_core_info_cap_add().
 */
int vfio_core_info_cap_copy(struct vfio_info_cap_header **buffer, size_t *size,
			    const struct vfio_info_cap_header *cap,
			    size_t cap_size);

/**
 * vfio_core_info_cap_shift() - make offsets count from before the chain
 * @buffer: the chain
 * @size: its size in bytes
 * @offset: how far before
 */
void vfio_core_info_cap_shift(struct vfio_info_cap_header *buffer, size_t size,
			      size_t offset);

/* Exported to KVM and others who hold a group's file. */

/**
 * vfio_core_file_is_group() - whether a file is that of a group
 * @file: any file
 */
bool vfio_core_file_is_group(struct file *file);

/**
 * vfio_core_file_iommu_group() - the IOMMU group, for KVM on sPAPR
 * @file: any file
 *
 * Return: the group with a reference, or NULL.
 */
struct iommu_group *vfio_core_file_iommu_group(struct file *file);

/**
 * vfio_core_file_enforced_coherent() - whether DMA always snoops caches
 * @file: any file
 *
 * Return: false only for a group's file.
 */
bool vfio_core_file_enforced_coherent(struct file *file);

/**
 * vfio_core_file_set_kvm() - which virtual machine a group serves
 * @file: any file; ignored if it is not a group's
 * @kvm: the machine, or NULL
 */
void vfio_core_file_set_kvm(struct file *file, struct kvm *kvm);

/**
 * vfio_core_file_has_dev() - whether a file gives a right to a device
 * @file: any file
 * @device: the device
 */
bool vfio_core_file_has_dev(struct file *file, struct vfio_core_device *device);

SHIM_END

#endif
