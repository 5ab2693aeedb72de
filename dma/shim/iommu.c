// SPDX-License-Identifier: GPL-2.0
#include <linux/iommu.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "compat/iommu.h"
#include "dma/shim/iommu.h"
#include "dma/shim/pin.h"

struct iommu_domain *shim_domain_alloc(struct iommu_group *group)
{
	return compat_domain_alloc(group);
}

void shim_domain_free(struct iommu_domain *domain)
{
	iommu_domain_free(domain);
}

int shim_domain_enable_nesting(struct iommu_domain *domain)
{
	return compat_domain_enable_nesting(domain);
}

bool shim_domain_can_nest(const struct iommu_domain *domain)
{
	return compat_domain_can_nest(domain);
}

int shim_domain_attach(struct iommu_domain *domain, struct iommu_group *group)
{
	return iommu_attach_group(domain, group);
}

void shim_domain_detach(struct iommu_domain *domain, struct iommu_group *group)
{
	iommu_detach_group(domain, group);
}

int shim_domain_map(struct iommu_domain *domain, u64 iova, u64 phys, u64 size,
		    u32 prot)
{
	return compat_iommu_map(domain, iova, phys, size, prot,
				GFP_KERNEL_ACCOUNT);
}

int shim_domain_map_atomic(struct iommu_domain *domain, u64 iova, u64 phys,
			   u64 size, u32 prot)
{
	return compat_iommu_map(domain, iova, phys, size, prot,
				GFP_ATOMIC | __GFP_ACCOUNT | __GFP_NOWARN);
}

int shim_domain_map_runs(struct iommu_domain *domain, u64 iova,
			 const struct shim_pin_run *runs, u32 count, u32 prot,
			 void *scratch)
{
	struct scatterlist *list = scratch;
	u64 npages = 0;
	u32 i;

	sg_init_table(list, count);
	for (i = 0; i < count; i++) {
		sg_set_page(&list[i],
			    pfn_to_page(runs[i].pfn & SHIM_PIN_PFN_MASK),
			    runs[i].npages << PAGE_SHIFT, 0);
		npages += runs[i].npages;
	}
	return compat_iommu_map_sg(domain, iova, list, count,
				   npages << PAGE_SHIFT, prot,
				   GFP_KERNEL_ACCOUNT);
}

static struct iommu_iotlb_gather *gather_of(struct shim_gather *gather)
{
	static_assert(sizeof(struct iommu_iotlb_gather) <= sizeof(*gather));
	return (struct iommu_iotlb_gather *)gather->storage;
}

void shim_gather_init(struct shim_gather *gather)
{
	compat_gather_init(gather_of(gather));
}

u64 shim_domain_unmap(struct iommu_domain *domain, u64 iova, u64 size,
		      struct shim_gather *gather)
{
	return iommu_unmap_fast(domain, iova, size, gather_of(gather));
}

void shim_domain_flush(struct iommu_domain *domain, struct shim_gather *gather,
		       u64 first, u64 last)
{
	compat_gather_sync(domain, gather_of(gather), first, last);
}

u64 shim_domain_pgsize_bitmap(const struct iommu_domain *domain)
{
	return domain->pgsize_bitmap;
}

void shim_domain_aperture(const struct iommu_domain *domain, u64 *first,
			  u64 *last)
{
	*first = domain->geometry.aperture_start;
	*last = domain->geometry.aperture_end;
}

bool shim_domain_enforce_coherency(struct iommu_domain *domain)
{
	return domain->ops->enforce_cache_coherency &&
	       domain->ops->enforce_cache_coherency(domain);
}

u64 shim_domain_driver(const struct iommu_domain *domain)
{
	return (unsigned long)domain->ops;
}

int shim_domain_reserve_msi(struct iommu_domain *domain, u64 iova)
{
	return iommu_get_msi_cookie(domain, iova);
}

int shim_group_reserved(struct iommu_group *group,
			int (*visit)(void *arg,
				     const struct shim_reserved_region *region),
			void *arg)
{
	struct iommu_resv_region *region, *next;
	LIST_HEAD(regions);
	int ret = iommu_get_group_resv_regions(group, &regions);

	list_for_each_entry_safe(region, next, &regions, list) {
		struct shim_reserved_region reserved = {
			.first = region->start,
			.last = region->start + region->length - 1,
			.type = region->type,
		};

		if (!ret)
			ret = visit(arg, &reserved);
		list_del(&region->list);
		kfree(region);
	}
	return ret;
}

static int put_device_name(struct device *dev, void *name)
{
	strscpy(name, dev_name(dev), SHIM_DEVICE_NAME);
	return 1; /* any one will do */
}

int shim_group_id(struct iommu_group *group)
{
	return iommu_group_id(group);
}

void shim_group_device_name(struct iommu_group *group,
			    char name[SHIM_DEVICE_NAME])
{
	name[0] = 0;
	iommu_group_for_each_dev(group, name, put_device_name);
}

bool shim_group_msi_isolated(struct iommu_group *group)
{
	return compat_group_msi_isolated(group);
}
