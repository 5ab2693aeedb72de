/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoint of a gate. */
#ifndef SHIM_GATE_TRACE_H
#define SHIM_GATE_TRACE_H

#include "shim/base.h"

struct vfio_device;

SHIM_BEGIN

/**
 * shim_gate_trace() - the tracepoint vfio:vfio_gate
 * @device: the device
 * @from: its state until now, an enum vfio_gate_state
 * @to: its state from now on
 */
void shim_gate_trace(const struct vfio_device *device, u32 from, u32 to);

SHIM_END

#endif
