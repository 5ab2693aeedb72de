/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints vfio:*, but for that of a gate (gate_trace.h). While nobody traces, each of these
 * functions costs its call, and a branch that the kernel has patched to go past the rest.
 *
 * Context: any.
 */
#ifndef SHIM_TRACE_H
#define SHIM_TRACE_H

#include "shim/base.h"

struct vfio_device;

SHIM_BEGIN

/**
 * shim_trace_container_open() - a container has been made
 * @container: its number
 */
void shim_trace_container_open(u64 container);

/**
 * shim_trace_container_close() - nobody has a container any more
 * @container: its number
 */
void shim_trace_container_close(u64 container);

/**
 * shim_trace_set_iommu() - VFIO_SET_IOMMU has ended
 * @container: the container's number
 * @type: VFIO_*_IOMMU
 * @ret: 0 or a negative errno
 */
void shim_trace_set_iommu(u64 container, u64 type, int ret);

/**
 * shim_trace_attach() - a group has joined a container, or not
 * @container: the container's number
 * @group: the group's
 * @ret: 0 or a negative errno
 */
void shim_trace_attach(u64 container, int group, int ret);

/**
 * shim_trace_detach() - a group has left a container
 * @container: the container's number
 * @group: the group's
 */
void shim_trace_detach(u64 container, int group);

/**
 * shim_trace_device_open() - a device has been opened, or not
 * @device: the device
 * @opens: how many files it has now
 * @ret: 0 or a negative errno
 */
void shim_trace_device_open(const struct vfio_device *device, u32 opens,
			    int ret);

/**
 * shim_trace_device_close() - a file of a device has been closed
 * @device: the device
 * @opens: how many files it has now
 */
void shim_trace_device_close(const struct vfio_device *device, u32 opens);

/**
 * shim_trace_merge() - VFIO_GROUP_MERGE has ended
 * @group: the number of the group on whose file it was
 * @ret: 0 or a negative errno
 */
void shim_trace_merge(int group, int ret);

/**
 * shim_trace_unmerge() - VFIO_GROUP_UNMERGE has ended
 * @group: the number of the group on whose file it was
 * @ret: 0 or a negative errno
 */
void shim_trace_unmerge(int group, int ret);

SHIM_END

#endif
