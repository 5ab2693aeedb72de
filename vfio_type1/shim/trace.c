// SPDX-License-Identifier: GPL-2.0
#include "vfio_type1/shim/trace.h"

#define CREATE_TRACE_POINTS
#include "vfio_type1/trace.h"

void shim_type1_trace_map(const struct vfio_iommu_type1_dma_map *map, int ret)
{
	trace_vfio_type1_map(map, ret);
}

void shim_type1_trace_unmap(const struct vfio_iommu_type1_dma_unmap *unmap,
			    u64 unmapped, int ret)
{
	trace_vfio_type1_unmap(unmap, unmapped, ret);
}

void shim_type1_trace_dirty(u32 flags, int ret)
{
	trace_vfio_type1_dirty(flags, ret);
}

void shim_type1_trace_attach(struct iommu_group *group, bool emulated, int ret)
{
	trace_vfio_type1_attach(group, emulated, ret);
}

void shim_type1_trace_detach(struct iommu_group *group)
{
	trace_vfio_type1_detach(group);
}
