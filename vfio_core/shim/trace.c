// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/vfio.h>

#include "vfio_core/shim/trace.h"
#include "vfio_core/trace.h"

void shim_trace_container_open(u64 container)
{
	trace_vfio_container_open(container);
}

void shim_trace_container_close(u64 container)
{
	trace_vfio_container_close(container);
}

void shim_trace_set_iommu(u64 container, u64 type, int ret)
{
	trace_vfio_set_iommu(container, type, ret);
}

void shim_trace_attach(u64 container, int group, int ret)
{
	trace_vfio_attach(container, group, ret);
}

void shim_trace_detach(u64 container, int group)
{
	trace_vfio_detach(container, group, 0);
}

void shim_trace_device_open(const struct vfio_device *device, u32 opens,
			    int ret)
{
	trace_vfio_device_open(dev_name(device->dev), opens, ret);
}

void shim_trace_device_close(const struct vfio_device *device, u32 opens)
{
	trace_vfio_device_close(dev_name(device->dev), opens, 0);
}

void shim_trace_merge(int group, int ret)
{
	trace_vfio_merge(group, ret);
}

void shim_trace_unmerge(int group, int ret)
{
	trace_vfio_unmerge(group, ret);
}
