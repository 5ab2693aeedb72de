/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What our own IOMMU drivers do for our own vfio.ko beyond the kernel's struct vfio_iommu_driver_ops:
 * they show in debugfs what a container holds (Documentation/debugging.md), and serve gated devices
 * (gate.h). A driver that also loads under the kernel's vfio.ko finds vfio_iommu_driver_extend() by
 * symbol_get().
 */
#ifndef VFIO_CXX_IOMMU_EXTENSION_H
#define VFIO_CXX_IOMMU_EXTENSION_H

#include "shim/base.h"
#include "vfio_cxx/remap.h"

struct iommu_group;
struct seq_file;
struct vfio_iommu_driver_ops;

/**
 * enum vfio_iommu_part - what is shown
 * @VFIO_IOMMU_SHOW_SUMMARY: a few lines about the whole
 * @VFIO_IOMMU_SHOW_DOMAINS: the domains, a line each
 * @VFIO_IOMMU_SHOW_MAPPINGS: the mappings, a line each, in the order of their IOVAs
 * @VFIO_IOMMU_SHOW_STATISTICS: what has been counted
 */
enum vfio_iommu_part {
	VFIO_IOMMU_SHOW_SUMMARY,
	VFIO_IOMMU_SHOW_DOMAINS,
	VFIO_IOMMU_SHOW_MAPPINGS,
	VFIO_IOMMU_SHOW_STATISTICS,
};

/**
 * struct vfio_iommu_extension - functions of an IOMMU driver
 * @show: prints one record of a container. @part is an enum vfio_iommu_part; any other value shows nothing.
 *	@cursor: which record: 0 is the first one; set to the next one. Between two records the caller
 *	holds no lock, and mappings may come and go. May sleep, but does not wait for calls that pin
 *	memory. Returns 1 if there may be another record, 0 if there is none, or -EBUSY if another
 *	caller attaches or detaches a group just now
 * @find_domain: stores in @domain what @cut and @restore take for an attached group. It stays valid as
 *	long as a device of the group is open. Returns 0, or -ENODEV if no IOMMU translates for the group,
 *	as for a mediated device
 * @cut: takes the group out of its domain: none of its DMA reaches memory when it returns. The domain
 *	stays, and is mapped and unmapped as before. Waits for work of the IOMMU alone
 * @restore: undoes @cut, and waits for as much. Returns 0 or an errno of the IOMMU, negative; the group
 *	stays cut off then
 * @remap: remaps pages of a container, for vfio_gate_remap(). Returns how many are done, from the first
 *	on, or a negative errno if it is none. Does not wait for userspace. NULL if the driver cannot; the
 *	following two are NULL then, too
 * @flush_remapped: when it returns, no device reaches a page that @remap has replaced
 * @end_remapping: puts back all pages of users that @remap has replaced in the container, and flushes.
 *	No other page is reached when it returns. Does not wait for userspace
 *
 * @iommu_data is what the driver keeps for the container. The caller sees to it that the container keeps its
 * IOMMU driver during a call.
 */
struct vfio_iommu_extension {
	int (*show)(void *iommu_data, u32 part, u64 *cursor,
		    struct seq_file *seq);
	int (*find_domain)(void *iommu_data, struct iommu_group *group,
			   void **domain);
	void (*cut)(void *domain, struct iommu_group *group);
	int (*restore)(void *domain, struct iommu_group *group);
	long (*remap)(void *iommu_data, const struct vfio_remap_page *pages,
		      unsigned int count);
	void (*flush_remapped)(void *iommu_data);
	void (*end_remapping)(void *iommu_data);
};

SHIM_BEGIN

/**
 * vfio_iommu_driver_extend() - tell what else an IOMMU driver does
 * @ops: the driver's operations, registered
 * @extension: its functions are called until the driver is unregistered
 *
 * Context: may sleep.
 */
void vfio_iommu_driver_extend(const struct vfio_iommu_driver_ops *ops,
			      const struct vfio_iommu_extension *extension);

SHIM_END

#endif
