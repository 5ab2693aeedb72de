// SPDX-License-Identifier: GPL-2.0
#include <linux/device.h>
#include <linux/vfio.h>

#include "vfio_core/shim/gate_trace.h"

#define CREATE_TRACE_POINTS
#include "vfio_core/trace.h"

void shim_gate_trace(const struct vfio_device *device, u32 from, u32 to)
{
	trace_vfio_gate(dev_name(device->dev), from, to);
}
