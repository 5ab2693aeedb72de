/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of vfio.ko, which the kernel's macros read several times. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio

#if !defined(VFIO_CORE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFIO_CORE_TRACE_H

#include <linux/tracepoint.h>

#include "compat/trace.h"
#include "uapi/vfio_gate.h"

#define show_vfio_gate_state(state)                          \
	__print_symbolic(state, { VFIO_GATE_OPEN, "open" },  \
			 { VFIO_GATE_TRAPPED, "trapped" },   \
			 { VFIO_GATE_BLOCKED, "blocked" },   \
			 { VFIO_GATE_BLOCKING, "blocking" }, \
			 { VFIO_GATE_GONE, "gone" })

/* /dev/vfio/vfio has been opened, or its last user has gone. */
DECLARE_EVENT_CLASS(vfio_container, TP_PROTO(u64 container), TP_ARGS(container),
		    TP_STRUCT__entry(__field(u64, container)),
		    TP_fast_assign(__entry->container = container;),
		    TP_printk("container=%llu", __entry->container));

DEFINE_EVENT(vfio_container, vfio_container_open, TP_PROTO(u64 container),
	     TP_ARGS(container));

DEFINE_EVENT(vfio_container, vfio_container_close, TP_PROTO(u64 container),
	     TP_ARGS(container));

/* VFIO_SET_IOMMU has ended. */
TRACE_EVENT(vfio_set_iommu, TP_PROTO(u64 container, u64 type, int ret),
	    TP_ARGS(container, type, ret),
	    TP_STRUCT__entry(__field(u64, container) __field(u64, type)
				     __field(int, ret)),
	    TP_fast_assign(__entry->container = container; __entry->type = type;
			   __entry->ret = ret;),
	    TP_printk("container=%llu type=%llu ret=%d", __entry->container,
		      __entry->type, __entry->ret));

/* A group has joined a container or left it. */
DECLARE_EVENT_CLASS(vfio_group_of_container,
		    TP_PROTO(u64 container, int group, int ret),
		    TP_ARGS(container, group, ret),
		    TP_STRUCT__entry(__field(u64, container) __field(int, group)
					     __field(int, ret)),
		    TP_fast_assign(__entry->container = container;
				   __entry->group = group; __entry->ret = ret;),
		    TP_printk("container=%llu group=%d ret=%d",
			      __entry->container, __entry->group,
			      __entry->ret));

DEFINE_EVENT(vfio_group_of_container, vfio_attach,
	     TP_PROTO(u64 container, int group, int ret),
	     TP_ARGS(container, group, ret));

DEFINE_EVENT(vfio_group_of_container, vfio_detach,
	     TP_PROTO(u64 container, int group, int ret),
	     TP_ARGS(container, group, ret));

/* A device's file has been opened or closed; opens is how many it has now. */
DECLARE_EVENT_CLASS(vfio_device_file,
		    TP_PROTO(const char *device, u32 opens, int ret),
		    TP_ARGS(device, opens, ret),
		    TP_STRUCT__entry(__string(device, device)
					     __field(u32, opens)
						     __field(int, ret)),
		    TP_fast_assign(compat_assign_str(device, device);
				   __entry->opens = opens; __entry->ret = ret;),
		    TP_printk("%s opens=%u ret=%d", __get_str(device),
			      __entry->opens, __entry->ret));

DEFINE_EVENT(vfio_device_file, vfio_device_open,
	     TP_PROTO(const char *device, u32 opens, int ret),
	     TP_ARGS(device, opens, ret));

DEFINE_EVENT(vfio_device_file, vfio_device_close,
	     TP_PROTO(const char *device, u32 opens, int ret),
	     TP_ARGS(device, opens, ret));

/* VFIO_GROUP_MERGE or VFIO_GROUP_UNMERGE has ended, on the file of this group. */
DECLARE_EVENT_CLASS(vfio_merging, TP_PROTO(int group, int ret),
		    TP_ARGS(group, ret),
		    TP_STRUCT__entry(__field(int, group) __field(int, ret)),
		    TP_fast_assign(__entry->group = group; __entry->ret = ret;),
		    TP_printk("group=%d ret=%d", __entry->group, __entry->ret));

DEFINE_EVENT(vfio_merging, vfio_merge, TP_PROTO(int group, int ret),
	     TP_ARGS(group, ret));

DEFINE_EVENT(vfio_merging, vfio_unmerge, TP_PROTO(int group, int ret),
	     TP_ARGS(group, ret));

/* A scheduled device has changed its state. */
TRACE_EVENT(vfio_gate, TP_PROTO(const char *device, u32 from, u32 to),
	    TP_ARGS(device, from, to),
	    TP_STRUCT__entry(__string(device, device) __field(u32, from)
				     __field(u32, to)),
	    TP_fast_assign(compat_assign_str(device, device);
			   __entry->from = from; __entry->to = to;),
	    TP_printk("%s %s -> %s", __get_str(device),
		      show_vfio_gate_state(__entry->from),
		      show_vfio_gate_state(__entry->to)));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH vfio_core
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
