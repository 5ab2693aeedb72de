// SPDX-License-Identifier: GPL-2.0
/*
 * Measures the kernel objects that the C++ core embeds as storage, and names
 * kernel constants that cross the boundary. Never linked: Kbuild compiles it
 * to assembly and reads the figures out of it.
 */
#include <linux/dma-direction.h>
#include <linux/iommu.h>
#include <linux/kbuild.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#define WORDS(type) DIV_ROUND_UP(sizeof(type), sizeof(u64))

int main(void)
{
	DEFINE(SHIM_PAGE_SHIFT, PAGE_SHIFT);
	DEFINE(SHIM_MUTEX_WORDS, WORDS(struct mutex));
	DEFINE(SHIM_RWSEM_WORDS, WORDS(struct rw_semaphore));
	DEFINE(SHIM_WAITQ_WORDS, WORDS(wait_queue_head_t));
	/* Without lockdep a lock class is empty; an array may not be. */
	DEFINE(SHIM_LOCK_CLASS_WORDS, max(WORDS(struct lock_class_key), 1ul));
	DEFINE(SHIM_WORK_WORDS, WORDS(struct work_struct));
	DEFINE(SHIM_GATHER_WORDS, WORDS(struct iommu_iotlb_gather));
	BLANK();
	DEFINE(SHIM_SCATTERLISTS_A_PAGE,
	       PAGE_SIZE / sizeof(struct scatterlist));
	DEFINE(SHIM_DMA_NONE, DMA_NONE);
	DEFINE(SHIM_IOMMU_READ, IOMMU_READ);
	DEFINE(SHIM_IOMMU_WRITE, IOMMU_WRITE);
	DEFINE(SHIM_IOMMU_CACHE, IOMMU_CACHE);
	DEFINE(SHIM_RESV_DIRECT, IOMMU_RESV_DIRECT);
	DEFINE(SHIM_RESV_DIRECT_RELAXABLE, IOMMU_RESV_DIRECT_RELAXABLE);
	DEFINE(SHIM_RESV_RESERVED, IOMMU_RESV_RESERVED);
	DEFINE(SHIM_RESV_MSI, IOMMU_RESV_MSI);
	DEFINE(SHIM_RESV_SW_MSI, IOMMU_RESV_SW_MSI);
	return 0;
}
