// SPDX-License-Identifier: GPL-2.0
/*
 * A domain of a mock IOMMU: a page table that remembers each PTE, and which of
 * them an IOTLB may still hold.
 *
 * Rules of the IOMMU API that are checked, each broken one a violation that is
 * counted and, as a warning, fails the run:
 *   - map and unmap are inside the aperture, aligned, in pages that there are
 *   - nothing is mapped over what is mapped, or was and is not flushed (allowed
 *     by VFIO_MOCK_BY_PAGE)
 *   - only what is mapped is unmapped, and no page in part
 *   - when the IOTLB is flushed, what one map call mapped is gone as a whole
 *     (the stock vfio_iommu_type1 tries on purpose what a part gives:
 *     parameter strict=0 and VFIO_MOCK_BY_PAGE allow it)
 *   - a domain that is freed is attached to nothing and flushed
 *
 * Storage: an xarray by IOVA in units of 2 KiB, one entry a PTE, at its first
 * address. An entry that was unmapped stays, with a mark, until the flush: so
 * unmap needs no memory. An entry that was mapped over such ones has another
 * mark until then.
 */
#include <linux/highmem.h>
#include <linux/io.h>
#include <linux/slab.h>

#include "mock.h"

#define UNIT_SHIFT 11
#define STALE	   XA_MARK_0
#define REPLACED   XA_MARK_1

/* An entry, from bit 0: first and last of its map call, prot, size, address. */
#define PTE_FIRST      BIT_ULL(0)
#define PTE_LAST       BIT_ULL(1)
#define PTE_PROT_SHIFT 2
#define PTE_PROT_MASK  0x1f
#define PTE_SIZE_SHIFT 7
#define PTE_SIZE_MASK  0x3f
#define PTE_PHYS_SHIFT 2 /* bits 0 to 10 of the address are 0 */

struct mock_domain {
	struct iommu_domain domain;
	struct mock_iommu *iommu;
	struct xarray ptes;
	atomic_t attached;
	bool coherent;
};

static struct mock_domain *to_mock(struct iommu_domain *domain)
{
	return container_of(domain, struct mock_domain, domain);
}

static struct mock_device *to_mock_device(struct device *dev)
{
	return container_of(dev, struct mock_device, dev);
}

#define violation(iommu, fmt, ...)                                   \
	do {                                                         \
		struct mock_iommu *__iommu = (iommu);                \
                                                                     \
		atomic64_inc(&__iommu->violations);                  \
		WARN(!READ_ONCE(__iommu->tolerant), "%s: " fmt "\n", \
		     __iommu->name, ##__VA_ARGS__);                  \
	} while (0)

static void *make_pte(u64 phys, unsigned int shift, int prot, u64 ends)
{
	return xa_mk_value(
		(phys << PTE_PHYS_SHIFT) | ((u64)shift << PTE_SIZE_SHIFT) |
		((u64)(prot & PTE_PROT_MASK) << PTE_PROT_SHIFT) | ends);
}

static u64 pte_size(void *pte)
{
	return 1ULL << ((xa_to_value(pte) >> PTE_SIZE_SHIFT) & PTE_SIZE_MASK);
}

static u64 pte_phys(void *pte)
{
	return (xa_to_value(pte) >> PTE_PHYS_SHIFT) &
	       ~((1ULL << UNIT_SHIFT) - 1);
}

static unsigned int pte_prot(void *pte)
{
	return (xa_to_value(pte) >> PTE_PROT_SHIFT) & PTE_PROT_MASK;
}

/* The entry that covers an address, and where it begins. */
static void *find_pte(struct mock_domain *md, u64 iova, u64 *first)
{
	unsigned long sizes = md->domain.pgsize_bitmap;
	unsigned int shift;

	for_each_set_bit(shift, &sizes, BITS_PER_LONG)
	{
		u64 at = iova & ~((1ULL << shift) - 1);
		void *pte = xa_load(&md->ptes, at >> UNIT_SHIFT);

		if (pte && iova - at < pte_size(pte)) {
			*first = at;
			return pte;
		}
	}
	return NULL;
}

static bool by_page(struct mock_domain *md)
{
	return READ_ONCE(md->iommu->flags) & VFIO_MOCK_BY_PAGE;
}

static bool is_stale(struct mock_domain *md, u64 first)
{
	return xa_get_mark(&md->ptes, first >> UNIT_SHIFT, STALE);
}

static void *find_live(struct mock_domain *md, u64 iova, u64 *first)
{
	void *pte = find_pte(md, iova, first);

	return pte && !is_stale(md, *first) ? pte : NULL;
}

/*
 * The IOTLB forgets an entry, if it is one that was unmapped. Another flush may
 * have been there before, and a new mapping may stand in its place.
 */
static void drop_stale(struct mock_domain *md, unsigned long index)
{
	xa_lock(&md->ptes);
	if (xa_get_mark(&md->ptes, index, STALE)) {
		__xa_erase(&md->ptes, index);
		atomic64_dec(&md->iommu->stale);
	}
	xa_unlock(&md->ptes);
}

/* The IOTLB forgets what an entry was mapped over. */
static void drop_replaced(struct mock_domain *md, unsigned long index)
{
	xa_lock(&md->ptes);
	if (xa_get_mark(&md->ptes, index, REPLACED)) {
		__xa_clear_mark(&md->ptes, index, REPLACED);
		atomic64_dec(&md->iommu->stale);
	}
	xa_unlock(&md->ptes);
}

/* Stays in the IOTLB until a flush. */
static void make_stale(struct mock_domain *md, unsigned long index)
{
	drop_replaced(md, index);
	xa_lock(&md->ptes);
	__xa_set_mark(&md->ptes, index, STALE);
	atomic64_inc(&md->iommu->stale);
	xa_unlock(&md->ptes);
	atomic64_dec(&md->iommu->ptes);
}

static void make_replaced(struct mock_domain *md, unsigned long index)
{
	xa_lock(&md->ptes);
	__xa_set_mark(&md->ptes, index, REPLACED);
	atomic64_inc(&md->iommu->stale);
	xa_unlock(&md->ptes);
}

static bool in_aperture(struct mock_domain *md, u64 iova, u64 size)
{
	u64 last = iova + size - 1;

	return size && last >= iova && iova >= md->iommu->first &&
	       last <= md->iommu->last;
}

/* Any entry in a range, and where it begins. */
static void *find_overlap(struct mock_domain *md, u64 iova, u64 size,
			  u64 *first)
{
	unsigned long index = iova >> UNIT_SHIFT;
	void *pte = find_pte(md, iova, first);

	if (!pte) {
		pte = xa_find(&md->ptes, &index,
			      (iova + size - 1) >> UNIT_SHIFT, XA_PRESENT);
		*first = (u64)index << UNIT_SHIFT;
	}
	return pte;
}

static int map_one(struct mock_domain *md, u64 iova, u64 phys, size_t pgsize,
		   int prot, u64 ends, gfp_t gfp)
{
	bool replaces = false;
	u64 first;
	void *pte;

	while (find_overlap(md, iova, pgsize, &first)) {
		if (!is_stale(md, first)) {
			violation(md->iommu,
				  "map of %llx over the mapping at %llx", iova,
				  first);
			return -EEXIST;
		}
		if (!by_page(md))
			violation(md->iommu,
				  "map of %llx over %llx, which is not flushed",
				  iova, first);
		replaces = true;
		drop_stale(md, first >> UNIT_SHIFT);
	}

	pte = make_pte(phys, __ffs(pgsize), prot, ends);
	if (xa_err(xa_store(&md->ptes, iova >> UNIT_SHIFT, pte, gfp)))
		return -ENOMEM;
	if (replaces)
		make_replaced(md, iova >> UNIT_SHIFT);
	atomic64_inc(&md->iommu->ptes);
	return 0;
}

static int mock_map_pages(struct iommu_domain *domain, unsigned long iova,
			  phys_addr_t phys, size_t pgsize, size_t pgcount,
			  int prot, gfp_t gfp, size_t *mapped)
{
	struct mock_domain *md = to_mock(domain);
	bool fails = mock_fails(md->iommu, VFIO_MOCK_FAIL_MAP);
	size_t count = fails ? pgcount / 2 : pgcount;
	size_t i;
	int ret;

	atomic64_inc(&md->iommu->map_calls);
	if (!is_power_of_2(pgsize) || !(domain->pgsize_bitmap & pgsize) ||
	    !IS_ALIGNED(iova | phys, pgsize) ||
	    !in_aperture(md, iova, pgsize * pgcount)) {
		violation(md->iommu, "map of %zu pages of %zx at %lx to %llx",
			  pgcount, pgsize, iova, (u64)phys);
		return -EINVAL;
	}

	for (i = 0; i < count; i++) {
		ret = map_one(
			md, iova + i * pgsize, phys + i * pgsize, pgsize, prot,
			(i ? 0 : PTE_FIRST) | (i == count - 1 ? PTE_LAST : 0),
			gfp);
		if (ret)
			return ret;
		*mapped += pgsize;
	}
	return fails ? -ENOMEM : 0;
}

static size_t mock_unmap_pages(struct iommu_domain *domain, unsigned long iova,
			       size_t pgsize, size_t pgcount,
			       struct iommu_iotlb_gather *gather)
{
	struct mock_domain *md = to_mock(domain);
	u64 size = (u64)pgsize * pgcount, done = 0;

	atomic64_inc(&md->iommu->unmap_calls);
	if (!in_aperture(md, iova, size)) {
		violation(md->iommu, "unmap of %llx at %lx", size, iova);
		return 0;
	}

	while (done < size) {
		u64 first;
		void *pte = find_live(md, iova + done, &first);

		if (!pte) {
			violation(md->iommu,
				  "unmap of %llx, which is not mapped",
				  iova + done);
			break;
		}
		if (first != iova + done || pte_size(pte) > size - done)
			violation(md->iommu,
				  "unmap of a part of the page of %llx at %llx",
				  pte_size(pte), first);
		make_stale(md, first >> UNIT_SHIFT);
		done = first + pte_size(pte) - iova;
	}
	if (done && !iommu_iotlb_gather_queued(gather))
		iommu_iotlb_gather_add_range(gather, iova, done);
	return done;
}

/* Forgets what was unmapped in a range; what it leaves must be whole. */
static void flush(struct mock_domain *md, u64 first, u64 last)
{
	unsigned long index;
	u64 at, other = 0;
	void *pte;

	atomic64_inc(&md->iommu->flushes);
	xa_for_each_range(&md->ptes, index, pte, first >> UNIT_SHIFT,
			  last >> UNIT_SHIFT)
	{
		if (!xa_get_mark(&md->ptes, index, STALE)) {
			drop_replaced(md, index);
			continue;
		}
		at = (u64)index << UNIT_SHIFT;
		if (mock_strict && !by_page(md) &&
		    ((!(xa_to_value(pte) & PTE_FIRST) &&
		      find_live(md, at - 1, &other)) ||
		     (!(xa_to_value(pte) & PTE_LAST) &&
		      find_live(md, at + pte_size(pte), &other))))
			violation(
				md->iommu,
				"unmapped at %llx but not at %llx, of one map call",
				at, other);
		drop_stale(md, index);
	}
}

static void mock_iotlb_sync(struct iommu_domain *domain,
			    struct iommu_iotlb_gather *gather)
{
	if (gather->start <= gather->end)
		flush(to_mock(domain), gather->start, gather->end);
}

/*
 * As VT-d's driver of 6.1 does in caching mode, this leaves out devices' own
 * TLBs: devices still reach what was unmapped.
 */
static void mock_flush_iotlb_all(struct iommu_domain *domain)
{
	atomic64_inc(&to_mock(domain)->iommu->flushes);
}

static phys_addr_t mock_iova_to_phys(struct iommu_domain *domain,
				     dma_addr_t iova)
{
	struct mock_domain *md = to_mock(domain);
	u64 first;
	void *pte = find_live(md, iova, &first);

	return pte ? pte_phys(pte) + (iova - first) : 0;
}

static bool mock_enforce_coherency(struct iommu_domain *domain)
{
	struct mock_domain *md = to_mock(domain);

	if (!(READ_ONCE(md->iommu->flags) & VFIO_MOCK_COHERENT))
		return false;
	if (!xa_empty(&md->ptes))
		violation(md->iommu,
			  "coherency is enforced after the first map");
	md->coherent = true;
	return true;
}

static void set_domain(struct mock_device *mdev, struct iommu_domain *domain)
{
	mutex_lock(&mdev->lock);
	if (mdev->domain)
		atomic_dec(&to_mock(mdev->domain)->attached);
	if (domain)
		atomic_inc(&to_mock(domain)->attached);
	mdev->domain = domain;
	mutex_unlock(&mdev->lock);
}

static int mock_attach(struct iommu_domain *domain, struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);
	struct mock_iommu *iommu = mdev->iommu;

	if (to_mock(domain)->iommu != iommu)
		return -EINVAL;
	if (domain->type == IOMMU_DOMAIN_UNMANAGED) {
		if (mock_fails(iommu, VFIO_MOCK_FAIL_ATTACH))
			return -ENOMEM;
		atomic64_inc(&iommu->attaches);
	}
	set_domain(mdev, domain);
	return 0;
}

static void mock_detach(struct iommu_domain *domain, struct device *dev)
{
	struct mock_device *mdev = to_mock_device(dev);

	if (mdev->domain != domain)
		violation(mdev->iommu,
			  "detach from a domain that it is not attached to");
	set_domain(mdev, NULL);
}

static void mock_free(struct iommu_domain *domain)
{
	struct mock_domain *md = to_mock(domain);
	struct mock_iommu *iommu = md->iommu;
	unsigned long index;
	void *pte;

	if (atomic_read(&md->attached))
		violation(iommu,
			  "a domain is freed that %d devices are attached to",
			  atomic_read(&md->attached));
	if (xa_marked(&md->ptes, STALE) || xa_marked(&md->ptes, REPLACED))
		violation(iommu, "a domain is freed that is not flushed");
	xa_for_each(&md->ptes, index, pte)
	{
		if (xa_get_mark(&md->ptes, index, STALE)) {
			atomic64_dec(&iommu->stale);
		} else {
			drop_replaced(md, index);
			atomic64_inc(&iommu->freed_mapped);
			atomic64_dec(&iommu->ptes);
		}
	}
	xa_destroy(&md->ptes);
	if (domain->type == IOMMU_DOMAIN_UNMANAGED)
		atomic64_dec(&iommu->domains);
	kfree(md);
}

#define MOCK_DOMAIN_OPS                                                       \
	{                                                                     \
		.attach_dev = mock_attach, .detach_dev = mock_detach,         \
		.map_pages = mock_map_pages, .unmap_pages = mock_unmap_pages, \
		.flush_iotlb_all = mock_flush_iotlb_all,                      \
		.iotlb_sync = mock_iotlb_sync,                                \
		.iova_to_phys = mock_iova_to_phys,                            \
		.enforce_cache_coherency = mock_enforce_coherency,            \
		.free = mock_free,                                            \
	}

/* Two drivers. */
const struct iommu_domain_ops mock_domain_ops = MOCK_DOMAIN_OPS;
const struct iommu_domain_ops mock_domain_ops_other = MOCK_DOMAIN_OPS;

struct iommu_domain *mock_domain_alloc(struct mock_iommu *iommu,
				       unsigned int type)
{
	struct mock_domain *md;

	if (type != IOMMU_DOMAIN_UNMANAGED && type != IOMMU_DOMAIN_BLOCKED)
		return NULL;
	if (type == IOMMU_DOMAIN_UNMANAGED &&
	    mock_fails(iommu, VFIO_MOCK_FAIL_ALLOC))
		return NULL;
	md = kzalloc(sizeof(*md), GFP_KERNEL);
	if (!md)
		return NULL;

	md->iommu = iommu;
	xa_init(&md->ptes);
	md->domain.pgsize_bitmap = iommu->pgsizes;
	md->domain.ops = iommu->domain_ops;
	md->domain.geometry.aperture_start = iommu->first;
	md->domain.geometry.aperture_end = iommu->last;
	md->domain.geometry.force_aperture = true;
	if (type == IOMMU_DOMAIN_UNMANAGED)
		atomic64_inc(&iommu->domains);
	return &md->domain;
}

void mock_pte(struct mock_device *mdev, struct vfio_mock_pte *out)
{
	struct mock_domain *md;
	void *pte = NULL;
	u64 first;

	out->phys = out->size = out->prot = out->stale = 0;
	mutex_lock(&mdev->lock);
	if (mdev->domain) {
		md = to_mock(mdev->domain);
		pte = find_pte(md, out->iova, &first);
		if (pte) {
			out->phys = pte_phys(pte) + (out->iova - first);
			out->size = pte_size(pte);
			out->prot = pte_prot(pte);
			out->stale = is_stale(md, first) ||
				     xa_get_mark(&md->ptes, first >> UNIT_SHIFT,
						 REPLACED);
		}
	}
	mutex_unlock(&mdev->lock);
}
EXPORT_SYMBOL_GPL(mock_pte);

int mock_dma(struct mock_device *mdev, u64 iova, void *data, size_t size,
	     bool write)
{
	int wanted = write ? IOMMU_WRITE : IOMMU_READ;
	struct vfio_mock_pte pte;
	size_t step;
	void *at;

	for (; size; size -= step, iova += step, data += step) {
		pte.iova = iova;
		mock_pte(mdev, &pte);
		if (!pte.size || !(pte.prot & wanted) ||
		    !pfn_valid(PHYS_PFN(pte.phys)))
			return -EFAULT;
		step = min3((u64)size, pte.size - (iova & (pte.size - 1)),
			    (u64)PAGE_SIZE - offset_in_page(pte.phys));
		at = phys_to_virt(pte.phys);
		if (write)
			memcpy(at, data, step);
		else
			memcpy(data, at, step);
	}
	return 0;
}
EXPORT_SYMBOL_GPL(mock_dma);
