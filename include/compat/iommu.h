/* SPDX-License-Identifier: GPL-2.0 */
/* The IOMMU API, with the newest kernel's interface. */
#ifndef COMPAT_IOMMU_H
#define COMPAT_IOMMU_H

#include <linux/device.h>
#include <linux/errno.h>
#include <linux/gfp.h>
#include <linux/iommu.h>
#include <linux/irqdomain.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/version.h>

/*
 * From 6.3 on iommu_map() and iommu_map_sg() take the flags of their allocations. Before,
 * there is a function of its own for callers that may not sleep.
 */
/*
 * Takes back what a map that has failed may have left. Where VT-d's driver finds no memory for a further table,
 * it keeps the entries that it has written and says that it has mapped none, so that iommu_map() takes back none
 * of them. That is so in 6.1 and 6.12 at least; other drivers say how far they came.
 */
static inline void compat_unmap_left(struct iommu_domain *domain,
				     unsigned long iova, size_t size)
{
	size_t done;

	for (done = 0; done < size; done += PAGE_SIZE)
		if (iommu_iova_to_phys(domain, iova + done)) {
			iommu_unmap(domain, iova + done, size - done);
			return;
		}
}

static inline int compat_iommu_map(struct iommu_domain *domain,
				   unsigned long iova, phys_addr_t phys,
				   size_t size, int prot, gfp_t gfp)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	int ret = gfpflags_allow_blocking(gfp) ?
			  iommu_map(domain, iova, phys, size, prot) :
			  iommu_map_atomic(domain, iova, phys, size, prot);
#else
	int ret = iommu_map(domain, iova, phys, size, prot, gfp);
#endif

	if (unlikely(ret))
		compat_unmap_left(domain, iova, size);
	return ret;
}

/* Maps @size bytes, all of @list. Returns 0 or a negative errno. */
static inline int compat_iommu_map_sg(struct iommu_domain *domain,
				      unsigned long iova,
				      struct scatterlist *list,
				      unsigned int count, size_t size, int prot,
				      gfp_t gfp)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	ssize_t mapped = iommu_map_sg(domain, iova, list, count, prot);
#else
	ssize_t mapped = iommu_map_sg(domain, iova, list, count, prot, gfp);
#endif

	if (likely(mapped >= 0))
		return 0;
	compat_unmap_left(domain, iova, size);
	return mapped;
}

/*
 * compat_gather_init() begins a gather, which several calls of iommu_unmap_fast()
 * take; compat_gather_sync() then flushes the IOTLB for all of them. [first, last]
 * contains what was unmapped.
 *
 * By default an IOMMU driver flushes early when it unmaps a range that is not
 * adjacent to the gathered ones or has pages of another size. On x86 the gather is
 * therefore marked as queued: the drivers there (VT-d, AMD, virtio, Hyper-V) then
 * do not flush early, or need not, and their sync looks only at the range in the
 * gather, which compat_gather_sync() sets. Drivers of other architectures may queue
 * invalidations while they unmap, by the size of the pages (Arm); they gather as
 * they do by default.
 *
 * iommu_flush_iotlb_all() cannot replace the sync: before 6.10 VT-d's driver does
 * not flush devices' own TLBs in it if the IOMMU is in caching mode.
 */
static inline void compat_gather_init(struct iommu_iotlb_gather *gather)
{
	iommu_iotlb_gather_init(gather);
	gather->queued = IS_ENABLED(CONFIG_X86);
}

static inline void compat_gather_sync(struct iommu_domain *domain,
				      struct iommu_iotlb_gather *gather,
				      unsigned long first, unsigned long last)
{
#ifdef CONFIG_X86
	gather->queued = false;
	gather->start = first;
	gather->end = last;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 19, 0)
	/* Later it shares its place with what the page table has gathered, and x86 does not use it. */
	gather->pgsize = 1UL << __ffs(domain->pgsize_bitmap);
#endif
#endif
	iommu_iotlb_sync(domain, gather);
}

/* Before 6.11 domains are allocated for a bus, since then for a device. */
static inline int compat_domain_alloc_for(struct device *dev, void *domain)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
	*(struct iommu_domain **)domain = iommu_domain_alloc(dev->bus);
#else
	struct iommu_domain *made = iommu_paging_domain_alloc(dev);

	*(struct iommu_domain **)domain = IS_ERR(made) ? NULL : made;
#endif
	return 1; /* Stops at the first device: any one of the group will do. */
}

static inline struct iommu_domain *
compat_domain_alloc(struct iommu_group *group)
{
	struct iommu_domain *domain = NULL;

	iommu_group_for_each_dev(group, &domain, compat_domain_alloc_for);
	return domain;
}

/* iommu_enable_nesting() was removed in 6.13. */
static inline int compat_domain_enable_nesting(struct iommu_domain *domain)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return iommu_enable_nesting(domain);
#else
	return -ENODEV;
#endif
}

static inline bool compat_domain_can_nest(const struct iommu_domain *domain)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
	return domain->ops->enable_nesting;
#else
	return false;
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline int compat_device_remaps_msi(struct device *dev, void *unused)
{
	return device_iommu_capable(dev, IOMMU_CAP_INTR_REMAP);
}
#endif

/*
 * Whether every domain of a device makes all of its DMA snoop caches. Before 6.2 only a
 * domain tells, after a device has been attached to it.
 */
static inline int compat_device_enforces_coherency(struct device *dev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	return -EOPNOTSUPP;
#else
	return device_iommu_capable(dev, IOMMU_CAP_ENFORCE_CACHE_COHERENCY);
#endif
}

/* Whether interrupts of the group's devices are isolated: one call from 6.3 on. */
static inline bool compat_group_msi_isolated(struct iommu_group *group)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return irq_domain_check_msi_remap() ||
	       iommu_group_for_each_dev(group, NULL, compat_device_remaps_msi);
#else
	return iommu_group_has_isolated_msi(group);
#endif
}

#endif
