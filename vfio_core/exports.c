// SPDX-License-Identifier: GPL-2.0
/*
 * What vfio.ko exports, each function a call into the core. Names, types and
 * kinds of export are the kernel's own; so are the CRCs (tools/kernel-crc), so
 * that modules built against its vfio.ko load on this one.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iova_bitmap.h>
#include <linux/module.h>
#include <linux/vfio.h>

#include "compat/iommu_driver.h"
#include "entry.h"
#include "vfio_core/shim/device_set.h"
#include "vfio_core/shim/device.h"

/* Returns the core's object for a device. */
static struct vfio_core_device *core_of(const struct vfio_device *device)
{
	return dev_get_drvdata(&device->device);
}

/**
 * _vfio_alloc_device() - allocate and initialize a device
 * @size: bytes of the driver's structure, which begins with a vfio_device
 * @dev: the device on its bus
 * @ops: the driver's operations; outlive the device
 *
 * Drivers call this by the macro vfio_alloc_device(), and drop the device by
 * vfio_put_device(). The driver's release() must end in vfio_free_device().
 *
 * Context: may sleep; calls @ops->init.
 * Return: the device; ERR_PTR of -ENOMEM, -ENOSPC, -EINVAL for a @size that is
 * too small, or what init returned.
 */
struct vfio_device *_vfio_alloc_device(size_t size, struct device *dev,
				       const struct vfio_device_ops *ops)
{
	struct vfio_device *device;
	int ret = vfio_core_device_alloc(size, dev, ops, &device);

	return ret ? ERR_PTR(ret) : device;
}
EXPORT_SYMBOL_GPL(_vfio_alloc_device);

/**
 * vfio_init_device() - initialize a device that the driver allocated, zeroed
 * @device: the device
 * @dev: the device on its bus
 * @ops: the driver's operations
 *
 * Context: may sleep; calls @ops->init.
 * Return: 0, or as _vfio_alloc_device(). After an error @device is the
 * driver's to free.
 */
int vfio_init_device(struct vfio_device *device, struct device *dev,
		     const struct vfio_device_ops *ops)
{
	return vfio_core_device_init(device, dev, ops);
}
EXPORT_SYMBOL_GPL(vfio_init_device);

/**
 * vfio_free_device() - free what _vfio_alloc_device() returned
 * @device: the device; called by the driver's release()
 *
 * Context: may sleep.
 */
void vfio_free_device(struct vfio_device *device)
{
	shim_device_free(device);
}
EXPORT_SYMBOL_GPL(vfio_free_device);

/**
 * vfio_register_group_dev() - let userspace use a device
 * @device: an initialized device whose bus device is bound to the driver
 *
 * Context: may sleep. The device may be opened before this returns.
 * Return: 0, -EINVAL if it is in no IOMMU group (and no-IOMMU mode is off) or
 * its IOMMU cannot keep caches coherent, -EBUSY if its bus device is registered
 * already, -ENOMEM, -ENOSPC, or an error of sysfs.
 */
int vfio_register_group_dev(struct vfio_device *device)
{
	return vfio_core_device_register(core_of(device));
}
EXPORT_SYMBOL_GPL(vfio_register_group_dev);

/**
 * vfio_register_emulated_iommu_dev() - let userspace use a device that does no
 * DMA of its own
 * @device: an initialized device; it reaches memory by vfio_pin_pages() and
 *	    vfio_dma_rw() alone
 *
 * Context: may sleep. The device may be opened before this returns.
 * Return: as vfio_register_group_dev(), or an error of making a group.
 */
int vfio_register_emulated_iommu_dev(struct vfio_device *device)
{
	return vfio_core_device_register_emulated(core_of(device));
}
EXPORT_SYMBOL_GPL(vfio_register_emulated_iommu_dev);

/**
 * vfio_unregister_group_dev() - take a device away from userspace
 * @device: a registered device
 *
 * Waits, for as long as it takes, until nobody has it open. Meanwhile calls the
 * driver's request() every ten seconds, so that it asks the user to close it.
 *
 * Context: may sleep; the caller holds no lock that closing the device takes.
 */
void vfio_unregister_group_dev(struct vfio_device *device)
{
	vfio_core_device_unregister(core_of(device));
}
EXPORT_SYMBOL_GPL(vfio_unregister_group_dev);

/**
 * vfio_assign_device_set() - put a device into a set of devices, which are opened
 * and closed one after the other
 * @device: a device that is not registered and in no set
 * @set_id: names the set; not NULL
 *
 * Context: may sleep, takes the set's lock.
 * Return: 0, -ENOMEM; -EINVAL for a NULL @set_id or if @device is in a set.
 */
int vfio_assign_device_set(struct vfio_device *device, void *set_id)
{
	return vfio_core_device_assign_set(core_of(device), (uintptr_t)set_id);
}
EXPORT_SYMBOL_GPL(vfio_assign_device_set);

/**
 * vfio_device_set_open_count() - how many files the devices of a set have
 * @dev_set: the set
 *
 * Context: the caller holds @dev_set->lock.
 */
unsigned int vfio_device_set_open_count(struct vfio_device_set *dev_set)
{
	return vfio_core_device_set_open_count(shim_device_set_owner(dev_set));
}
EXPORT_SYMBOL_GPL(vfio_device_set_open_count);

/**
 * vfio_mig_get_next_state() - the next step between two migration states
 * @device: the device; its migration_flags say which states there are
 * @cur_fsm: the state that it is in
 * @new_fsm: the state that was asked for, unchecked
 * @next_fsm: where to put the state to go to first on the way to @new_fsm
 *
 * Follows the state diagram of enum vfio_device_mig_state in <linux/vfio.h>.
 *
 * Context: any.
 * Return: 0, or -EINVAL if there is no way or no such state.
 */
int vfio_mig_get_next_state(struct vfio_device *device,
			    enum vfio_device_mig_state cur_fsm,
			    enum vfio_device_mig_state new_fsm,
			    enum vfio_device_mig_state *next_fsm)
{
	u32 next;
	int ret = vfio_core_migration_next(core_of(device), cur_fsm, new_fsm,
					   &next);

	if (!ret)
		*next_fsm = (enum vfio_device_mig_state)next;
	return ret;
}
EXPORT_SYMBOL_GPL(vfio_mig_get_next_state);

/**
 * vfio_file_iommu_group() - the IOMMU group behind a group's file
 * @file: any file
 *
 * Only for KVM on sPAPR.
 *
 * Context: may sleep.
 * Return: the group with a reference, or NULL.
 */
struct iommu_group *vfio_file_iommu_group(struct file *file)
{
	return vfio_core_file_iommu_group(file);
}
EXPORT_SYMBOL_GPL(vfio_file_iommu_group);

/**
 * vfio_file_is_group() - whether a file is a group's
 * @file: any file
 *
 * Context: any.
 */
bool vfio_file_is_group(struct file *file)
{
	return vfio_core_file_is_group(file);
}
EXPORT_SYMBOL_GPL(vfio_file_is_group);

/**
 * vfio_file_enforced_coherent() - whether DMA of a group always snoops caches
 * @file: any file
 *
 * Context: may sleep.
 * Return: false only for the file of a group whose devices can do DMA that does
 * not snoop caches, so that its user must be able to flush them.
 */
bool vfio_file_enforced_coherent(struct file *file)
{
	return vfio_core_file_enforced_coherent(file);
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

/**
 * vfio_file_set_kvm() - say which virtual machine a group's devices serve
 * @file: any file; nothing is done for other than a group's
 * @kvm: the machine, or NULL before it is destroyed. A device that is opened in
 *	 between holds a reference to it until it is closed, and its driver
 *	 finds it in the device's kvm.
 *
 * Context: may sleep. As with all vfio_file_ functions, the caller may hold
 * kvm->lock, which drivers take while their devices are opened and closed.
 */
void vfio_file_set_kvm(struct file *file, struct kvm *kvm)
{
	vfio_core_file_set_kvm(file, kvm);
}
EXPORT_SYMBOL_GPL(vfio_file_set_kvm);

/**
 * vfio_file_has_dev() - whether a file gives a right to a device
 * @file: any file
 * @device: the device
 *
 * Context: any.
 * Return: true for the file of the device's group.
 */
bool vfio_file_has_dev(struct file *file, struct vfio_device *device)
{
	return vfio_core_file_has_dev(file, core_of(device));
}
EXPORT_SYMBOL_GPL(vfio_file_has_dev);

/**
 * vfio_info_cap_add() - put a capability at the end of a chain
 * @caps: the chain, all zero at first; the caller frees its buf in the end
 * @size: bytes of the capability with its header
 * @id: its id
 * @version: its version
 *
 * The chain grows by a multiple of eight bytes, so that each capability is
 * aligned to eight bytes if the chain's first byte is.
 *
 * Context: may sleep.
 * Return: the capability, zero behind its header; or ERR_PTR of -ENOMEM, or of
 * -EINVAL for an impossible @size. The chain is freed and empty after an error.
 */
struct vfio_info_cap_header *vfio_info_cap_add(struct vfio_info_cap *caps,
					       size_t size, u16 id, u16 version)
{
	struct vfio_info_cap_header *added;
	int ret = vfio_core_info_cap_add(&caps->buf, &caps->size, size, id,
					 version, &added);

	return ret ? ERR_PTR(ret) : added;
}
EXPORT_SYMBOL_GPL(vfio_info_cap_add);

/**
 * vfio_info_cap_shift() - make the offsets in a chain count from before it
 * @caps: the chain
 * @offset: bytes that the answer puts before it
 *
 * Called once, when the chain is complete.
 *
 * Context: any.
 */
void vfio_info_cap_shift(struct vfio_info_cap *caps, size_t offset)
{
	vfio_core_info_cap_shift(caps->buf, caps->size, offset);
}
EXPORT_SYMBOL(vfio_info_cap_shift);

/**
 * vfio_info_add_capability() - put a copy of a capability at the end of a chain
 * @caps: the chain
 * @cap: the capability, its id and version set
 * @size: its bytes with its header
 *
 * Context: may sleep.
 * Return: 0, or as vfio_info_cap_add().
 */
int vfio_info_add_capability(struct vfio_info_cap *caps,
			     struct vfio_info_cap_header *cap, size_t size)
{
	return vfio_core_info_cap_copy(&caps->buf, &caps->size, cap, size);
}
EXPORT_SYMBOL(vfio_info_add_capability);

/**
 * vfio_set_irqs_validate_and_prepare() - check a VFIO_DEVICE_SET_IRQS
 * @hdr: the request's header
 * @num_irqs: how many interrupts the index has
 * @max_irq_type: how many indexes there are
 * @data_size: where to put how many bytes follow the header; NULL if none may
 *
 * Context: any.
 * Return: 0 or -EINVAL.
 */
int vfio_set_irqs_validate_and_prepare(struct vfio_irq_set *hdr, int num_irqs,
				       int max_irq_type, size_t *data_size)
{
	return vfio_core_check_irq_set(hdr, num_irqs, max_irq_type, data_size);
}
EXPORT_SYMBOL(vfio_set_irqs_validate_and_prepare);

/**
 * vfio_pin_pages() - pin user pages by IOVA, for a device that does no DMA
 * @device: an open device of vfio_register_emulated_iommu_dev()
 * @iova: first address, page aligned
 * @npage: how many, contiguous; VFIO_PIN_PAGES_MAX_ENTRIES at most
 * @prot: IOMMU_READ and IOMMU_WRITE or-ed
 * @pages: room for @npage
 *
 * The driver must unpin what its dma_unmap() is told of. It may pin from the
 * start of its open_device() until its close_device() returns. In that time, and
 * shortly before open_device(), its dma_unmap() may be called.
 *
 * Context: may sleep.
 * Return: @npage; or -EINVAL, also for a driver without dma_unmap(), -E2BIG for
 * too many, -ENOTTY if the IOMMU driver cannot pin, or its error. Nothing is
 * pinned after an error.
 */
int vfio_pin_pages(struct vfio_device *device, dma_addr_t iova, int npage,
		   int prot, struct page **pages)
{
	return vfio_core_device_pin(core_of(device), iova, npage, prot, pages);
}
EXPORT_SYMBOL(vfio_pin_pages);

/**
 * vfio_unpin_pages() - undo vfio_pin_pages()
 * @device: the device, open
 * @iova: first address
 * @npage: how many, contiguous
 *
 * Context: may sleep.
 */
void vfio_unpin_pages(struct vfio_device *device, dma_addr_t iova, int npage)
{
	vfio_core_device_unpin(core_of(device), iova, npage);
}
EXPORT_SYMBOL(vfio_unpin_pages);

/**
 * vfio_dma_rw() - copy between a buffer and user memory by IOVA
 * @device: an open device
 * @iova: first address
 * @data: the buffer
 * @len: bytes
 * @write: to user memory, not from it
 *
 * Context: may sleep.
 * Return: 0; -EINVAL, -ENOTTY if the IOMMU driver cannot, or its error.
 */
int vfio_dma_rw(struct vfio_device *device, dma_addr_t iova, void *data,
		size_t len, bool write)
{
	return vfio_core_device_dma_rw(core_of(device), iova, data, len, write);
}
EXPORT_SYMBOL(vfio_dma_rw);

/**
 * iova_bitmap_set() - report pages as written by the device
 * @bitmap: given to the driver's log_read_and_clear()
 * @iova: first address
 * @length: bytes
 *
 * What is outside the bitmap's range is left alone.
 *
 * Context: does not sleep.
 */
void iova_bitmap_set(struct iova_bitmap *bitmap, unsigned long iova,
		     size_t length)
{
	vfio_core_iova_bitmap_set(bitmap, iova, length);
}
EXPORT_SYMBOL_GPL(iova_bitmap_set);

/**
 * vfio_register_iommu_driver() - let containers use an IOMMU driver
 * @ops: its operations
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM; -EINVAL if the driver is registered or has only one of
 * register_device and unregister_device.
 */
int vfio_register_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
	return vfio_core_register_iommu_driver(ops);
}
EXPORT_SYMBOL_GPL(vfio_register_iommu_driver);

/**
 * vfio_unregister_iommu_driver() - undo vfio_register_iommu_driver()
 * @ops: its operations; no container uses the driver, because one that did would
 *	 hold a reference to @ops->owner
 *
 * Context: may sleep.
 */
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
	vfio_core_unregister_iommu_driver(ops);
}
EXPORT_SYMBOL_GPL(vfio_unregister_iommu_driver);
