/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tracepoints vfio_mdev:* of pins. While nobody traces, each of these functions passes a branch
 * that is patched away. None is called for a single page of a larger call.
 *
 * Context: any.
 */
#ifndef SHIM_MDEV_TRACE_H
#define SHIM_MDEV_TRACE_H

#include "shim/base.h"

SHIM_BEGIN

/**
 * shim_mdev_trace_pin() - a driver has called mdev_pins_pin()
 * @iova: first address
 * @npages: how many pages
 * @prot: IOMMU_READ and IOMMU_WRITE or-ed
 * @ret: 0 or a negative errno
 */
void shim_mdev_trace_pin(u64 iova, u64 npages, int prot, int ret);

/**
 * shim_mdev_trace_unpin() - a driver has called mdev_pins_unpin()
 * @iova: first address
 * @npages: how many pages
 * @taken: what that returned
 */
void shim_mdev_trace_unpin(u64 iova, u64 npages, u64 taken);

SHIM_END

#endif
