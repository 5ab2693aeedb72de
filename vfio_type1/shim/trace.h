/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints vfio_type1:*. While nobody traces, each of these functions costs its call, and
 * a branch that the kernel has patched to go past the rest. None is called for a single page of a larger call.
 *
 * Context: any.
 */
#ifndef SHIM_TYPE1_TRACE_H
#define SHIM_TYPE1_TRACE_H

#include "shim/base.h"

struct iommu_group;

SHIM_BEGIN

/**
 * shim_type1_trace_map() - VFIO_IOMMU_MAP_DMA has ended
 * @iova: first address
 * @size: bytes
 * @vaddr: the address in the process
 * @flags: VFIO_DMA_MAP_FLAG_* or-ed
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_map(u64 iova, u64 size, u64 vaddr, u32 flags, int ret);

/**
 * shim_type1_trace_unmap() - VFIO_IOMMU_UNMAP_DMA has ended
 * @iova: first address
 * @size: bytes that the caller asked for
 * @flags: VFIO_DMA_UNMAP_FLAG_* or-ed
 * @unmapped: bytes that were unmapped
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_unmap(u64 iova, u64 size, u32 flags, u64 unmapped,
			    int ret);

/**
 * shim_type1_trace_dirty() - VFIO_IOMMU_DIRTY_PAGES has ended
 * @flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_*
 * @ret: 0 or a negative errno
 */
void shim_type1_trace_dirty(u32 flags, int ret);

/**
 * shim_type1_trace_pin() - a driver has called vfio_pin_pages()
 * @group: the group of its device
 * @iova: first address
 * @npages: how many pages
 * @prot: IOMMU_READ and IOMMU_WRITE or-ed
 * @ret: how many are pinned, or a negative errno
 */
void shim_type1_trace_pin(struct iommu_group *group, u64 iova, u32 npages,
			  u32 prot, int ret);

/**
 * shim_type1_trace_unpin() - a driver has called vfio_unpin_pages()
 * @iova: first address
 * @npages: how many pages
 */
void shim_type1_trace_unpin(u64 iova, u32 npages);

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
