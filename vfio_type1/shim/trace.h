/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints vfio_type1:*. While nobody traces, each of these functions costs its call, and
 * a branch that the kernel has patched to go past the rest. None is called for each page of a call.
 *
 * Context: any.
 */
#ifndef SHIM_TYPE1_TRACE_H
#define SHIM_TYPE1_TRACE_H

#include "shim/base.h"

struct iommu_group;
struct vfio_iommu_type1_dma_map;
struct vfio_iommu_type1_dma_unmap;

SHIM_BEGIN

/**
 * shim_type1_trace_map() - VFIO_IOMMU_MAP_DMA has ended
 * @map: what the caller asked for
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_map(const struct vfio_iommu_type1_dma_map *map, int ret);

/**
 * shim_type1_trace_unmap() - VFIO_IOMMU_UNMAP_DMA has ended
 * @unmap: what the caller asked for
 * @unmapped: bytes that were unmapped
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_unmap(const struct vfio_iommu_type1_dma_unmap *unmap,
			    u64 unmapped, int ret);

/**
 * shim_type1_trace_dirty() - VFIO_IOMMU_DIRTY_PAGES has ended
 * @flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_*
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_dirty(u32 flags, int ret);

/**
 * shim_type1_trace_attach() - a group has been attached, or not
 * @group: the group
 * @emulated: whether its devices reach memory only through the CPU
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_attach(struct iommu_group *group, bool emulated, int ret);

/**
 * shim_type1_trace_detach() - a group has been detached
 * @group: the group
 */
void shim_type1_trace_detach(struct iommu_group *group);

SHIM_END

#endif
