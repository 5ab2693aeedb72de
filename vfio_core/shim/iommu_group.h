/* SPDX-License-Identifier: GPL-2.0 */
/*
 * IOMMU groups: sets of devices that an IOMMU cannot tell apart. These functions may
 * sleep, except where they say otherwise.
 */
#ifndef SHIM_IOMMU_GROUP_H
#define SHIM_IOMMU_GROUP_H

#include "shim/base.h"

struct device;
struct iommu_domain;
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
 * @group: where to put the group, with a reference that the caller puts
 *
 * Return: 0 or a negative errno.
 */
int shim_iommu_group_create(const char *name, struct iommu_group **group);

/**
 * shim_iommu_group_add() - put a device into a group
 * @group: a group of shim_iommu_group_create()
 * @dev: a device without a group
 *
 * Return: 0 or a negative errno.
 */
int shim_iommu_group_add(struct iommu_group *group, struct device *dev);

/**
 * shim_iommu_group_remove() - undo shim_iommu_group_add()
 * @dev: the device
 */
void shim_iommu_group_remove(struct device *dev);

/**
 * shim_iommu_group_get() - take another reference
 * @group: the group, to which the caller has a reference
 */
void shim_iommu_group_get(struct iommu_group *group);

/**
 * shim_iommu_group_put() - drop a reference
 * @group: the group
 */
void shim_iommu_group_put(struct iommu_group *group);

/**
 * shim_iommu_group_id() - the number of a group, which is in the name of its file
 * @group: the group
 */
int shim_iommu_group_id(struct iommu_group *group);

/**
 * shim_iommu_group_claim_dma() - claim the DMA of all devices of a group
 * @group: the group
 * @owner: the core's group, which owns the DMA from now on
 *
 * After success no driver that does DMA for the kernel is bound to one of the devices,
 * or can be bound while the DMA is claimed. Until a domain is attached, the devices
 * reach no memory.
 *
 * Return: 0; -EPERM if another owner has claimed the DMA; -EBUSY if such a driver is
 * bound; another negative errno.
 */
int shim_iommu_group_claim_dma(struct iommu_group *group,
			       struct vfio_group *owner);

/**
 * shim_iommu_group_release_dma() - undo shim_iommu_group_claim_dma()
 * @group: the group
 */
void shim_iommu_group_release_dma(struct iommu_group *group);

/**
 * shim_iommu_group_dma_claimed() - whether anyone has claimed the DMA of a group
 * @group: the group
 */
bool shim_iommu_group_dma_claimed(struct iommu_group *group);

/**
 * shim_iommu_can_snoop() - whether a device's IOMMU keeps DMA coherent with caches
 * @dev: a device that has a group
 */
bool shim_iommu_can_snoop(struct device *dev);

/**
 * shim_iommu_enforces_coherency() - whether all DMA of a device snoops CPU caches,
 * also where the device asks not to
 * @dev: any device
 *
 * Context: any.
 * Return: 1 or 0; -EOPNOTSUPP if this kernel cannot tell before the device is
 * attached to a domain.
 */
int shim_iommu_enforces_coherency(struct device *dev);

/**
 * shim_kvm_wants_iommu_group() - whether KVM is built to drive the IOMMU of a
 * group itself, as it does on sPAPR
 */
bool shim_kvm_wants_iommu_group(void);

SHIM_END

#endif
