/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of vfio_zpci.ko, which the kernel's macros read several times. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_zpci

#if !defined(VFIO_ZPCI_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFIO_ZPCI_TRACE_H

#include <linux/iommu.h>
#include <linux/tracepoint.h>

/* A range of a function has been refreshed, for the VMM, a doorbell or KVM. */
TRACE_EVENT(
	vfio_zpci_refresh,
	TP_PROTO(u32 fh, u64 start, u64 length, u32 cc, u32 status, int ret),
	TP_ARGS(fh, start, length, cc, status, ret),
	TP_STRUCT__entry(__field(u64, start) __field(u64, length)
				 __field(u32, fh) __field(u32, cc)
					 __field(u32, status)
						 __field(int, ret)),
	TP_fast_assign(__entry->fh = fh; __entry->start = start;
		       __entry->length = length; __entry->cc = cc;
		       __entry->status = status; __entry->ret = ret;),
	TP_printk("fh=0x%x start=0x%llx length=0x%llx cc=%u status=%u ret=%d",
		  __entry->fh, __entry->start, __entry->length, __entry->cc,
		  __entry->status, __entry->ret));

DECLARE_EVENT_CLASS(vfio_zpci_function, TP_PROTO(u32 fh, int ret),
		    TP_ARGS(fh, ret),
		    TP_STRUCT__entry(__field(u32, fh) __field(int, ret)),
		    TP_fast_assign(__entry->fh = fh; __entry->ret = ret;),
		    TP_printk("fh=0x%x ret=%d", __entry->fh, __entry->ret));

/* VFIO_ZPCI_REGISTER has ended. */
DEFINE_EVENT(vfio_zpci_function, vfio_zpci_register, TP_PROTO(u32 fh, int ret),
	     TP_ARGS(fh, ret));

/* VFIO_ZPCI_DEREGISTER has ended. */
DEFINE_EVENT(vfio_zpci_function, vfio_zpci_deregister,
	     TP_PROTO(u32 fh, int ret), TP_ARGS(fh, ret));

/* VFIO_IOMMU_MAP_DMA or _UNMAP_DMA of a guest's memory has ended. */
TRACE_EVENT(vfio_zpci_memory, TP_PROTO(bool map, u64 gpa, u64 size, int ret),
	    TP_ARGS(map, gpa, size, ret),
	    TP_STRUCT__entry(__field(u64, gpa) __field(u64, size)
				     __field(bool, map) __field(int, ret)),
	    TP_fast_assign(__entry->map = map; __entry->gpa = gpa;
			   __entry->size = size; __entry->ret = ret;),
	    TP_printk("map=%d gpa=0x%llx size=0x%llx ret=%d", __entry->map,
		      __entry->gpa, __entry->size, __entry->ret));

/* A group has been attached, or not. */
TRACE_EVENT(vfio_zpci_attach, TP_PROTO(struct iommu_group *group, int ret),
	    TP_ARGS(group, ret),
	    TP_STRUCT__entry(__field(int, group) __field(int, ret)),
	    TP_fast_assign(__entry->group = iommu_group_id(group);
			   __entry->ret = ret;),
	    TP_printk("group=%d ret=%d", __entry->group, __entry->ret));

/* A group has been detached. */
TRACE_EVENT(vfio_zpci_detach, TP_PROTO(struct iommu_group *group),
	    TP_ARGS(group), TP_STRUCT__entry(__field(int, group)),
	    TP_fast_assign(__entry->group = iommu_group_id(group);),
	    TP_printk("group=%d", __entry->group));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH vfio_zpci
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
