/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel build generates, for the host: room for the mock's locks. */
#ifndef SHIM_SIZES_H
#define SHIM_SIZES_H

#define SHIM_PAGE_SHIFT 12
#define SHIM_MUTEX_WORDS 16
#define SHIM_RWSEM_WORDS 16
#define SHIM_WAITQ_WORDS 16
#define SHIM_LOCK_CLASS_WORDS 1
#define SHIM_WORK_WORDS 16
#define SHIM_GATHER_WORDS 1

#define SHIM_SCATTERLISTS_A_PAGE 128

#define SHIM_DMA_NONE 3

#define SHIM_IOMMU_READ 1
#define SHIM_IOMMU_WRITE 2
#define SHIM_IOMMU_CACHE 4

#define SHIM_RESV_DIRECT 0
#define SHIM_RESV_DIRECT_RELAXABLE 1
#define SHIM_RESV_RESERVED 2
#define SHIM_RESV_MSI 3
#define SHIM_RESV_SW_MSI 4

#endif
