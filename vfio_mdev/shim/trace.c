// SPDX-License-Identifier: GPL-2.0
#include "vfio_mdev/shim/trace.h"

#define CREATE_TRACE_POINTS
#include "vfio_mdev/trace.h"

void shim_mdev_trace_pin(u64 iova, u64 npages, int prot, int ret)
{
	trace_vfio_mdev_pin(iova, npages, prot, ret);
}

void shim_mdev_trace_unpin(u64 iova, u64 npages, u64 taken)
{
	trace_vfio_mdev_unpin(iova, npages, taken);
}
