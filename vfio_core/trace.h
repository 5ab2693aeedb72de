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
