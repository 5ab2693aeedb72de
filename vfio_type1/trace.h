/* SPDX-License-Identifier: GPL-2.0 */
/* The tracepoints of vfio_iommu_type1.ko, which the kernel's macros read several times. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vfio_type1

#if !defined(VFIO_TYPE1_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define VFIO_TYPE1_TRACE_H

#include <linux/iommu.h>
#include <linux/tracepoint.h>
#include <linux/vfio.h>

/* VFIO_IOMMU_MAP_DMA has ended, whose request could be copied in. */
TRACE_EVENT(vfio_type1_map,
	    TP_PROTO(const struct vfio_iommu_type1_dma_map *map, int ret),
	    TP_ARGS(map, ret),
	    TP_STRUCT__entry(__field(u64, iova) __field(u64, size)
				     __field(u64, vaddr) __field(u32, flags)
					     __field(int, ret)),
	    TP_fast_assign(__entry->iova = map->iova; __entry->size = map->size;
			   __entry->vaddr = map->vaddr;
			   __entry->flags = map->flags; __entry->ret = ret;),
	    TP_printk("iova=0x%llx size=0x%llx vaddr=0x%llx flags=0x%x ret=%d",
		      __entry->iova, __entry->size, __entry->vaddr,
		      __entry->flags, __entry->ret));

/* VFIO_IOMMU_UNMAP_DMA has ended, whose request could be copied in. */
TRACE_EVENT(
	vfio_type1_unmap,
	TP_PROTO(const struct vfio_iommu_type1_dma_unmap *unmap, u64 unmapped,
		 int ret),
	TP_ARGS(unmap, unmapped, ret),
	TP_STRUCT__entry(__field(u64, iova) __field(u64, size)
				 __field(u64, unmapped) __field(u32, flags)
					 __field(int, ret)),
	TP_fast_assign(__entry->iova = unmap->iova; __entry->size = unmap->size;
		       __entry->flags = unmap->flags;
		       __entry->unmapped = unmapped; __entry->ret = ret;),
	TP_printk("iova=0x%llx size=0x%llx flags=0x%x unmapped=0x%llx ret=%d",
		  __entry->iova, __entry->size, __entry->flags,
		  __entry->unmapped, __entry->ret));

/* VFIO_IOMMU_DIRTY_PAGES has ended. */
TRACE_EVENT(vfio_type1_dirty, TP_PROTO(u32 flags, int ret), TP_ARGS(flags, ret),
	    TP_STRUCT__entry(__field(u32, flags) __field(int, ret)),
	    TP_fast_assign(__entry->flags = flags; __entry->ret = ret;),
	    TP_printk("flags=0x%x ret=%d", __entry->flags, __entry->ret));

/* A driver has called vfio_pin_pages(): ret is how many pages are pinned, or an errno. */
TRACE_EVENT(vfio_type1_pin,
	    TP_PROTO(struct iommu_group *group, u64 iova, u32 npages, u32 prot,
		     int ret),
	    TP_ARGS(group, iova, npages, prot, ret),
	    TP_STRUCT__entry(__field(u64, iova) __field(int, group)
				     __field(u32, npages) __field(u32, prot)
					     __field(int, ret)),
	    TP_fast_assign(__entry->iova = iova;
			   __entry->group = iommu_group_id(group);
			   __entry->npages = npages; __entry->prot = prot;
			   __entry->ret = ret;),
	    TP_printk("group=%d iova=0x%llx npages=%u prot=0x%x ret=%d",
		      __entry->group, __entry->iova, __entry->npages,
		      __entry->prot, __entry->ret));

/* A driver has called vfio_unpin_pages(). */
TRACE_EVENT(vfio_type1_unpin, TP_PROTO(u64 iova, u32 npages),
	    TP_ARGS(iova, npages),
	    TP_STRUCT__entry(__field(u64, iova) __field(u32, npages)),
	    TP_fast_assign(__entry->iova = iova; __entry->npages = npages;),
	    TP_printk("iova=0x%llx npages=%u", __entry->iova, __entry->npages));

/* A group has been attached, or not. */
TRACE_EVENT(vfio_type1_attach,
	    TP_PROTO(struct iommu_group *group, bool emulated, int ret),
	    TP_ARGS(group, emulated, ret),
	    TP_STRUCT__entry(__field(int, group) __field(bool, emulated)
				     __field(int, ret)),
	    TP_fast_assign(__entry->group = iommu_group_id(group);
			   __entry->emulated = emulated; __entry->ret = ret;),
	    TP_printk("group=%d emulated=%d ret=%d", __entry->group,
		      __entry->emulated, __entry->ret));

/* A group has been detached. */
TRACE_EVENT(vfio_type1_detach, TP_PROTO(struct iommu_group *group),
	    TP_ARGS(group), TP_STRUCT__entry(__field(int, group)),
	    TP_fast_assign(__entry->group = iommu_group_id(group);),
	    TP_printk("group=%d", __entry->group));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH vfio_type1
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
