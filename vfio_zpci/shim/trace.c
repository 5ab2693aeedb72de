// SPDX-License-Identifier: GPL-2.0
#include "vfio_zpci/shim/trace.h"

#define CREATE_TRACE_POINTS
#include "vfio_zpci/trace.h"

void shim_zpci_trace_refresh(u32 fh, u64 start, u64 length, u32 cc, u32 status,
			     int ret)
{
	trace_vfio_zpci_refresh(fh, start, length, cc, status, ret);
}

void shim_zpci_trace_register(u32 fh, int ret)
{
	trace_vfio_zpci_register(fh, ret);
}

void shim_zpci_trace_deregister(u32 fh, int ret)
{
	trace_vfio_zpci_deregister(fh, ret);
}

void shim_zpci_trace_memory(bool map, u64 gpa, u64 size, int ret)
{
	trace_vfio_zpci_memory(map, gpa, size, ret);
}

void shim_zpci_trace_attach(struct iommu_group *group, int ret)
{
	trace_vfio_zpci_attach(group, ret);
}

void shim_zpci_trace_detach(struct iommu_group *group)
{
	trace_vfio_zpci_detach(group);
}
