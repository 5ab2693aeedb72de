// SPDX-License-Identifier: GPL-2.0
//
// The tracepoints of all modules, which nobody traces.
#include "vfio_core/shim/trace.h"
#include "vfio_mdev/shim/trace.h"
#include "vfio_type1/shim/trace.h"
#include "vfio_zpci/shim/trace.h"

void shim_trace_container_open(u64)
{
}

void shim_trace_container_close(u64)
{
}

void shim_trace_set_iommu(u64, u64, int)
{
}

void shim_trace_attach(u64, int, int)
{
}

void shim_trace_detach(u64, int)
{
}

void shim_trace_device_open(const vfio_device *, u32, int)
{
}

void shim_trace_device_close(const vfio_device *, u32)
{
}

void shim_trace_merge(int, int)
{
}

void shim_trace_unmerge(int, int)
{
}

void shim_type1_trace_map(const vfio_iommu_type1_dma_map *, int)
{
}

void shim_type1_trace_unmap(const vfio_iommu_type1_dma_unmap *, u64, int)
{
}

void shim_type1_trace_dirty(u32, int)
{
}

void shim_type1_trace_attach(iommu_group *, bool, int)
{
}

void shim_type1_trace_detach(iommu_group *)
{
}

void shim_zpci_trace_refresh(u32, u64, u64, u32, u32, int)
{
}

void shim_zpci_trace_register(u32, int)
{
}

void shim_zpci_trace_deregister(u32, int)
{
}

void shim_zpci_trace_memory(bool, u64, u64, int)
{
}

void shim_zpci_trace_attach(iommu_group *, int)
{
}

void shim_zpci_trace_detach(iommu_group *)
{
}

void shim_mdev_trace_pin(u64, u64, int, int)
{
}

void shim_mdev_trace_unpin(u64, u64, u64)
{
}
