/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What an IOMMU driver shows of a container in debugfs, in the files of vfio.ko
 * (Documentation/debugging.md). Only our own drivers and our own vfio.ko have it: a driver that
 * also loads under the kernel's vfio.ko finds the function by symbol_get(), and of a driver that
 * has not called it less is shown.
 */
#ifndef VFIO_CXX_IOMMU_SHOW_H
#define VFIO_CXX_IOMMU_SHOW_H

#include "shim/base.h"

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
 * typedef vfio_iommu_show - prints one record
 * @iommu_data: what the driver keeps for the container
 * @part: an enum vfio_iommu_part; another one has no record
 * @cursor: which record: 0 is the first one; set to the next one
 * @seq: where to print
 *
 * Between two records the caller holds no lock, and mappings may come and go.
 *
 * Context: may sleep, but does not wait for calls that pin memory. The container keeps its IOMMU.
 * Return: 1 if there may be another record, 0 if there is none, or -EBUSY if another caller
 * attaches or detaches a group just now.
 */
typedef int (*vfio_iommu_show)(void *iommu_data, u32 part, u64 *cursor,
			       struct seq_file *seq);

SHIM_BEGIN

/**
 * vfio_iommu_driver_set_show() - show more of a driver's containers
 * @ops: the driver's operations, registered
 * @show: what prints; called until the driver is unregistered
 *
 * Context: may sleep.
 */
void vfio_iommu_driver_set_show(const struct vfio_iommu_driver_ops *ops,
				vfio_iommu_show show);

SHIM_END

#endif
