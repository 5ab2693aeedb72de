// SPDX-License-Identifier: GPL-2.0
/*
 * The functions that vfio.ko exports. Their names, types and kinds of export are
 * those of the kernel's own vfio.ko, and so are the CRCs (tools/kernel-crc), so that
 * modules built against the kernel's vfio.ko load on this one.
 */
#include <linux/device.h>
#include <linux/err.h>
#include <linux/iova_bitmap.h>
#include <linux/module.h>
#include <linux/vfio.h>

#include "compat/exports.h"
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
 * @ops: the driver's operations, which outlive the device
 *
 * Drivers call this through the macro vfio_alloc_device(), and drop the device with
 * vfio_put_device(). In kernels where there is a vfio_free_device(), the driver's release()
 * must end with it.
 *
 * Context: may sleep; calls @ops->init.
 * Return: the device, or ERR_PTR of: -ENOMEM, -ENOSPC, -EINVAL for a @size that
 * is too small, or the error of @ops->init.
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
 * vfio_register_group_dev() - let userspace use a device
 * @device: an initialized device whose bus device is bound to the driver
 *
 * Context: may sleep. The device may be opened before this returns.
 * Return: 0, -EINVAL if it is in no IOMMU group (and no-IOMMU mode is off) or
 * its IOMMU cannot keep DMA coherent with caches, -EBUSY if its bus device is
 * registered already, -ENOMEM, -ENOSPC, or an error of sysfs.
 */
int vfio_register_group_dev(struct vfio_device *device)
{
	return vfio_core_device_register(core_of(device));
}
EXPORT_SYMBOL_GPL(vfio_register_group_dev);

/**
 * vfio_register_emulated_iommu_dev() - let userspace use a device that does no
 * DMA of its own
 * @device: an initialized device, whose driver reaches user memory with
 *	    vfio_pin_pages() and vfio_dma_rw() alone
 *
 * Context: may sleep. The device may be opened before this returns.
 * Return: 0, -ENOMEM, -ENOSPC, or an error of making an IOMMU group or of sysfs.
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
 * Waits, for as long as it takes, until nobody has the device open. Meanwhile calls
 * the driver's request() every ten seconds, so that the driver asks the user to close
 * the device.
 *
 * Context: may sleep; the caller holds no lock that closing the device takes.
 */
void vfio_unregister_group_dev(struct vfio_device *device)
{
	vfio_core_device_unregister(core_of(device));
}
EXPORT_SYMBOL_GPL(vfio_unregister_group_dev);

/**
 * vfio_assign_device_set() - put a device into a set of devices, whose opens and
 * closes one lock serializes
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
 * vfio_device_set_open_count() - how many files of a set's devices are open
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
 * vfio_find_device_in_devset() - the device of a set for a device of the bus
 * @dev_set: the set
 * @dev: the device of the bus
 *
 * Context: the caller holds @dev_set->lock.
 * Return: the device, or NULL if none of the set is for @dev.
 */
struct vfio_device *vfio_find_device_in_devset(struct vfio_device_set *dev_set,
					       struct device *dev)
{
	return vfio_core_device_set_find(shim_device_set_owner(dev_set), dev);
}
COMPAT_EXPORT_FIND_IN_SET(vfio_find_device_in_devset);

/**
 * vfio_device_try_get_registration() - keep a device registered
 * @device: the device, which is not freed meanwhile
 *
 * vfio_unregister_group_dev() waits until vfio_device_put_registration() is called.
 *
 * Context: any.
 * Return: false if the device is not registered, or is being unregistered.
 */
bool vfio_device_try_get_registration(struct vfio_device *device)
{
	return vfio_core_device_try_use(core_of(device));
}
COMPAT_EXPORT_REGISTRATION(vfio_device_try_get_registration);

/**
 * vfio_device_put_registration() - undo vfio_device_try_get_registration()
 * @device: the device, which may be freed before this returns to its caller
 *
 * Context: any.
 */
void vfio_device_put_registration(struct vfio_device *device)
{
	vfio_core_device_put_use(core_of(device));
}
COMPAT_EXPORT_REGISTRATION(vfio_device_put_registration);

/**
 * vfio_combine_iova_ranges() - join ranges of IOVAs to as few as a device can log
 * @root: the ranges, which do not overlap: the argument of the driver's log_start()
 * @cur_nodes: how many there are
 * @req_nodes: how many there may be, at least one
 *
 * Ranges with the smallest gaps between them are joined first. The memory of all ranges stays
 * the caller's.
 *
 * Context: does not sleep.
 */
void vfio_combine_iova_ranges(struct rb_root_cached *root, u32 cur_nodes,
			      u32 req_nodes)
{
	vfio_core_combine_iova_ranges(root, cur_nodes, req_nodes);
}
COMPAT_EXPORT_COMBINE_RANGES(vfio_combine_iova_ranges);

/**
 * vfio_mig_get_next_state() - the next step between two migration states
 * @device: the device, whose migration_flags say which states exist
 * @cur_fsm: the device's present state
 * @new_fsm: the state that userspace asked for; need not be valid
 * @next_fsm: where to put the first state on the way to @new_fsm
 *
 * Follows the state diagram of enum vfio_device_mig_state in <linux/vfio.h>.
 *
 * Context: any.
 * Return: 0, or -EINVAL if there is no way or @new_fsm does not exist.
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
 * For KVM on sPAPR; returns NULL if the kernel is not built for that.
 *
 * Context: may sleep.
 * Return: the group with a reference that the caller puts, or NULL.
 */
struct iommu_group *vfio_file_iommu_group(struct file *file)
{
	return vfio_core_file_iommu_group(file);
}
EXPORT_SYMBOL_GPL(vfio_file_iommu_group);

/**
 * vfio_file_is_group() - whether a file is a group's file
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
 * vfio_file_is_valid() - whether a file is a group's or a device's file
 * @file: any file
 *
 * Context: any.
 */
bool vfio_file_is_valid(struct file *file)
{
	return vfio_core_file_is_valid(file);
}
COMPAT_EXPORT_FILE_IS_VALID(vfio_file_is_valid);

/**
 * vfio_file_enforced_coherent() - whether DMA of a group always snoops caches
 * @file: any file
 *
 * Context: may sleep.
 * Return: false only for the file of a group, or of a device of one, whose devices can do DMA that does
 * not snoop caches, so that its user must be able to flush them.
 */
bool vfio_file_enforced_coherent(struct file *file)
{
	return vfio_core_file_enforced_coherent(file);
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

/**
 * vfio_file_set_kvm() - say which virtual machine a group's devices serve
 * @file: any file; nothing is done if it is not a group's
 * @kvm: the machine, or NULL before the machine is destroyed. A device that is
 *	 opened in between holds a reference to the machine until the device is
 *	 closed, and its driver finds the machine in vfio_device.kvm.
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
 * vfio_file_has_dev() - whether a file is that of a device's group, or of one merged with it
 * @file: any file
 * @device: the device
 *
 * Context: may sleep.
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
 * Return: the capability, zero after its header; or ERR_PTR of -ENOMEM, or of
 * -EINVAL for an impossible @size. After an error the chain is freed and empty.
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
 * vfio_info_cap_shift() - add to the offsets in a chain
 * @caps: the chain
 * @offset: bytes of the ioctl's answer that precede the chain
 *
 * Drivers call this once, when the chain is complete.
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
 * @size: bytes of the capability with its header
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
 * @data_size: where to put how many bytes of data follow the header; NULL if the
 *	       driver accepts no data
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
 * @npage: how many pages of contiguous IOVAs; VFIO_PIN_PAGES_MAX_ENTRIES at most
 * @prot: IOMMU_READ and IOMMU_WRITE or-ed
 * @pages: room for @npage
 *
 * The driver may pin from the start of its open_device() until its close_device()
 * returns. In that time, and shortly before open_device(), its dma_unmap() may be
 * called with a range of IOVAs, in which it must unpin all pages that it has pinned.
 *
 * Context: may sleep.
 * Return: @npage; or -EINVAL for no pages, a device that is not open or a driver
 * without dma_unmap(); -E2BIG for too many pages; -ENOTTY if the IOMMU driver cannot
 * pin; or an error of the IOMMU driver. Nothing is pinned after an error.
 */
int vfio_pin_pages(struct vfio_device *device, dma_addr_t iova, int npage,
		   int prot, struct page **pages)
{
	return vfio_core_device_pin(core_of(device), iova, npage, prot, pages);
}
EXPORT_SYMBOL(vfio_pin_pages);

/**
 * vfio_unpin_pages() - undo vfio_pin_pages()
 * @device: an open device
 * @iova: first address, page aligned
 * @npage: how many pages of contiguous IOVAs
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
 * @write: whether to copy to user memory, rather than from it
 *
 * Context: may sleep.
 * Return: 0; -EINVAL for no bytes or a device that is not open; -ENOTTY if the IOMMU
 * driver cannot do this; or an error of the IOMMU driver.
 */
int vfio_dma_rw(struct vfio_device *device, dma_addr_t iova, void *data,
		size_t len, bool write)
{
	return vfio_core_device_dma_rw(core_of(device), iova, data, len, write);
}
EXPORT_SYMBOL(vfio_dma_rw);

/**
 * vfio_register_iommu_driver() - let containers use an IOMMU driver
 * @ops: the driver's operations
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
 * @ops: the driver's operations. No container uses the driver, because it would hold
 *	 a reference to the module @ops->owner, which calls this when it is unloaded.
 *
 * Context: may sleep.
 */
void vfio_unregister_iommu_driver(const struct vfio_iommu_driver_ops *ops)
{
	vfio_core_unregister_iommu_driver(ops);
}
EXPORT_SYMBOL_GPL(vfio_unregister_iommu_driver);

/* What only older kernels export. */
#include "compat/old_exports.h"
