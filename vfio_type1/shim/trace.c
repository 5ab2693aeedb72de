// SPDX-License-Identifier: GPL-2.0
#include "vfio_type1/shim/trace.h"

#define CREATE_TRACE_POINTS
#include "vfio_type1/trace.h"

void shim_type1_trace_map(u64 iova, u64 size, u64 vaddr, u32 flags, int ret)
{
	trace_vfio_type1_map(iova, size, vaddr, flags, ret);
}

void shim_type1_trace_unmap(u64 iova, u64 size, u32 flags, u64 unmapped,
			    int ret)
{
	trace_vfio_type1_unmap(iova, size, flags, unmapped, ret);
}

void shim_type1_trace_dirty(u32 flags, int ret)
{
	trace_vfio_type1_dirty(flags, ret);
}

void shim_type1_trace_pin(struct iommu_group *group, u64 iova, u32 npages,
			  u32 prot, int ret)
{
	trace_vfio_type1_pin(group, iova, npages, prot, ret);
}

void shim_type1_trace_unpin(u64 iova, u32 npages)
{
	trace_vfio_type1_unpin(iova, npages);
}

void shim_type1_trace_attach(struct iommu_group *group, bool emulated, int ret)
{
	trace_vfio_type1_attach(group, emulated, ret);
}

void shim_type1_trace_detach(struct iommu_group *group)
{
	trace_vfio_type1_detach(group);
}
