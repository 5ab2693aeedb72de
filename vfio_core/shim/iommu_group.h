/* SPDX-License-Identifier: GPL-2.0 */
/* IOMMU groups: the devices that an IOMMU cannot tell apart. */
#ifndef SHIM_IOMMU_GROUP_H
#define SHIM_IOMMU_GROUP_H

#include "shim/base.h"

struct device;
struct iommu_group;
struct vfio_group;

SHIM_BEGIN

/**
 * shim_iommu_group_of() - the group of a device
 * @dev: the device
 *
 * Return: the group with a reference that the caller puts, or NULL.
 */
struct iommu_group *shim_iommu_group_of(struct device *dev);

/**
 * shim_iommu_group_create() - make a group that no IOMMU knows
 * @name: its name in sysfs
 * @group: where to put it, with a reference that the caller puts
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_iommu_group_create(const char *name, struct iommu_group **group);

/**
 * shim_iommu_group_add() - put a device into a group that was created
 * @group: the group
 * @dev: a device without a group
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int shim_iommu_group_add(struct iommu_group *group, struct device *dev);

/**
 * shim_iommu_group_remove() - undo shim_iommu_group_add()
 * @dev: the device
 *
 * Context: may sleep.
 */
void shim_iommu_group_remove(struct device *dev);

/**
 * shim_iommu_group_get() - take another reference
 * @group: a group that the caller has a reference to
 */
void shim_iommu_group_get(struct iommu_group *group);

/**
 * shim_iommu_group_put() - let go of a reference
 * @group: the group
 *
 * Context: may sleep.
 */
void shim_iommu_group_put(struct iommu_group *group);

/**
 * shim_iommu_group_id() - its number, the name of its file
 * @group: the group
 */
int shim_iommu_group_id(struct iommu_group *group);

/**
 * shim_iommu_group_claim_dma() - own the DMA of all its devices
 * @group: the group
 * @owner: who
 *
 * No device of it is used by a driver that does DMA for the kernel; none
 * will be as long as the claim stands. Until a domain is attached, none of
 * them reaches memory.
 *
 * Context: may sleep.
 * Return: 0, -EPERM if another owns it, -EBUSY if a driver uses one.
 */
int shim_iommu_group_claim_dma(struct iommu_group *group,
			       struct vfio_group *owner);

/**
 * shim_iommu_group_release_dma() - undo shim_iommu_group_claim_dma()
 * @group: the group
 *
 * Context: may sleep.
 */
void shim_iommu_group_release_dma(struct iommu_group *group);

/**
 * shim_iommu_group_dma_claimed() - whether somebody owns its DMA
 * @group: the group
 */
bool shim_iommu_group_dma_claimed(struct iommu_group *group);

/**
 * shim_iommu_can_snoop() - whether its IOMMU can keep DMA coherent with caches
 * @dev: a device that has a group
 */
bool shim_iommu_can_snoop(struct device *dev);

/**
 * shim_kvm_wants_iommu_group() - whether KVM is built to drive the IOMMU of a
 * group itself, as it does on sPAPR
 */
bool shim_kvm_wants_iommu_group(void);

SHIM_END

#endif
