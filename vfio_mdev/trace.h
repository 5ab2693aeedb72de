/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of mdev.ko, which the kernel's macros read several times. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_mdev

#if !defined(VFIO_MDEV_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFIO_MDEV_TRACE_H

#include <linux/device.h>
#include <linux/tracepoint.h>

#include "compat/trace.h"

/* Userspace has asked for a mediated device, or has it removed. */
TRACE_EVENT(
	vfio_mdev_create,
	TP_PROTO(const char *parent, const char *uuid, size_t size, long ret),
	TP_ARGS(parent, uuid, size, ret),
	TP_STRUCT__entry(__string(parent, parent) __array(char, uuid, 40)
				 __field(long, ret)),
	TP_fast_assign(compat_assign_str(parent, parent);
		       strscpy(__entry->uuid, uuid,
			       min_t(size_t, size + 1, sizeof(__entry->uuid)));
		       __entry->ret = ret;),
	TP_printk("parent=%s uuid=%.36s ret=%ld", __get_str(parent),
		  __entry->uuid, __entry->ret));

TRACE_EVENT(vfio_mdev_remove, TP_PROTO(const char *device, long ret),
	    TP_ARGS(device, ret),
	    TP_STRUCT__entry(__string(device, device) __field(long, ret)),
	    TP_fast_assign(compat_assign_str(device, device);
			   __entry->ret = ret;),
	    TP_printk("device=%s ret=%ld", __get_str(device), __entry->ret));

/* A driver has called mdev_pins_pin(). */
TRACE_EVENT(vfio_mdev_pin, TP_PROTO(u64 iova, u64 npages, int prot, int ret),
	    TP_ARGS(iova, npages, prot, ret),
	    TP_STRUCT__entry(__field(u64, iova) __field(u64, npages)
				     __field(int, prot) __field(int, ret)),
	    TP_fast_assign(__entry->iova = iova; __entry->npages = npages;
			   __entry->prot = prot; __entry->ret = ret;),
	    TP_printk("iova=0x%llx npages=%llu prot=0x%x ret=%d", __entry->iova,
		      __entry->npages, __entry->prot, __entry->ret));

/* A driver has called mdev_pins_unpin() or mdev_pins_drop(). */
TRACE_EVENT(vfio_mdev_unpin, TP_PROTO(u64 iova, u64 npages, u64 taken),
	    TP_ARGS(iova, npages, taken),
	    TP_STRUCT__entry(__field(u64, iova) __field(u64, npages)
				     __field(u64, taken)),
	    TP_fast_assign(__entry->iova = iova; __entry->npages = npages;
			   __entry->taken = taken;),
	    TP_printk("iova=0x%llx npages=%llu taken=%llu", __entry->iova,
		      __entry->npages, __entry->taken));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH vfio_mdev
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
