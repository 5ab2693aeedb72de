/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints vfio_zpci:*. While nobody traces, each of these functions costs its call, and
 * a branch that the kernel has patched to go past the rest. None is called for a single page of a larger call.
 *
 * Context: any.
 */
#ifndef SHIM_ZPCI_TRACE_H
#define SHIM_ZPCI_TRACE_H

#include "shim/base.h"

struct iommu_group;

SHIM_BEGIN

/**
 * shim_zpci_trace_refresh() - a range of a function has been refreshed
 * @fh: the function's handle
 * @start: first address
 * @length: bytes
 * @cc: its condition code, VFIO_ZPCI_CC_*; valid if @ret is 0
 * @status: its status, VFIO_ZPCI_STATUS_*; valid if @ret is 0
 * @ret: 0 or a negative errno
 */
void shim_zpci_trace_refresh(u32 fh, u64 start, u64 length, u32 cc, u32 status,
			     int ret);

/**
 * shim_zpci_trace_register() - VFIO_ZPCI_REGISTER has ended
 * @fh: the function's handle
 * @ret: 0 or a negative errno
 */
void shim_zpci_trace_register(u32 fh, int ret);

/**
 * shim_zpci_trace_deregister() - VFIO_ZPCI_DEREGISTER has ended
 * @fh: the function's handle
 * @ret: 0 or a negative errno
 */
void shim_zpci_trace_deregister(u32 fh, int ret);

/**
 * shim_zpci_trace_memory() - a change of the guest's memory has ended
 * @map: whether it was VFIO_IOMMU_MAP_DMA, or else VFIO_IOMMU_UNMAP_DMA
 * @gpa: first address of the guest's
 * @size: bytes
 * @ret: 0 or a negative errno
 */
void shim_zpci_trace_memory(bool map, u64 gpa, u64 size, int ret);

/**
 * shim_zpci_trace_attach() - a group has been attached, or not
 * @group: the group
 * @ret: 0 or a negative errno
 */
void shim_zpci_trace_attach(struct iommu_group *group, int ret);

/**
 * shim_zpci_trace_detach() - a group has been detached
 * @group: the group
 */
void shim_zpci_trace_detach(struct iommu_group *group);

SHIM_END

#endif
