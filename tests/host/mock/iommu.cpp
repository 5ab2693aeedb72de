// SPDX-License-Identifier: GPL-2.0
#include "iommu.hpp"

#include "dma/shim/pin.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace mock {

namespace {

std::mutex domains_mutex;
std::vector<iommu_domain *> domains;

bool overlaps(u64 first, u64 last, const shim_reserved_region &region)
{
	return first <= region.last && region.first <= last;
}

u64 smallest(const iommu_domain &domain)
{
	return domain.hardware.pgsizes & -domain.hardware.pgsizes;
}

} // namespace

std::vector<iommu_domain *> live_domains()
{
	const std::lock_guard guard(domains_mutex);

	return domains;
}

u64 domain_count()
{
	return live_domains().size();
}

} // namespace mock

using namespace mock;

iommu_group::~iommu_group()
{
	if (domain)
		violation("group %d ends attached", id);
}

iommu_domain *shim_domain_alloc(iommu_group *group)
{
	if (!group->hardware || plan.hit(Fail::kDomainAlloc))
		return nullptr;

	const std::lock_guard guard(domains_mutex);
	return domains.emplace_back(new iommu_domain(*group->hardware));
}

void shim_domain_free(iommu_domain *domain)
{
	if (!domain->groups.empty())
		violation("domain freed with %zu groups attached", domain->groups.size());
	if (!domain->stale.empty())
		violation("domain freed before its flush");
	if (!domain->ptes.empty())
		violation("domain freed with %zu pages mapped", domain->ptes.size());
	for (const auto &[iova, pte] : domain->ptes)
		phys::unmapped(pte.pfn);

	const std::lock_guard guard(domains_mutex);
	std::erase(domains, domain);
	delete domain;
}

int shim_domain_enable_nesting(iommu_domain *domain)
{
	if (!domain->groups.empty())
		violation("nesting enabled too late");
	if (plan.hit(Fail::kDomainNesting))
		return -ENODEV;
	if (!domain->hardware.nests)
		return -EINVAL;
	domain->nesting = true;
	return 0;
}

bool shim_domain_can_nest(const iommu_domain *domain)
{
	return domain->hardware.nests;
}

int shim_domain_attach(iommu_domain *domain, iommu_group *group)
{
	const DomainUsers::Call call = domain->users.change();
	if (group->domain)
		violation("group %d attached twice", group->id);
	if (!group->hardware || group->hardware->driver != domain->hardware.driver ||
	    group->hardware->family != domain->hardware.family)
		return -EINVAL;
	if (plan.hit(Fail::kDomainAttach))
		return -ENOMEM;

	const std::lock_guard guard(domain->mutex);
	group->domain = domain;
	domain->groups.insert(group);
	return 0;
}

void shim_domain_detach(iommu_domain *domain, iommu_group *group)
{
	const DomainUsers::Call call = domain->users.change();
	const std::lock_guard guard(domain->mutex);

	if (group->domain != domain)
		violation("group %d detached from where it is not", group->id);
	group->domain = nullptr;
	domain->groups.erase(group);
}

// The size of the page that the IOMMU uses at an address, of those that it has.
static u64 page_for(const iommu_domain &domain, u64 iova, u64 phys, u64 left)
{
	u64 best = smallest(domain);

	for (u64 size = best; size && size <= left; size <<= 1)
		if ((domain.hardware.pgsizes & size) && !((iova | phys) & (size - 1)))
			best = size;
	return best;
}

static void map_piece(iommu_domain *domain, u64 iova, u64 phys, u64 size, u32 prot)
{
	const u64 align = smallest(*domain) - 1;
	const u64 last = iova + (size - 1);

	if (size == 0 || ((iova | phys | size) & align) || ((iova | phys | size) & (kPage - 1)))
		violation("map of %#llx bytes at %#llx to %#llx: alignment", size, iova, phys);
	if (last < iova || iova < domain->hardware.aperture_first ||
	    last > domain->hardware.aperture_last)
		violation("map of %#llx bytes at %#llx: outside the aperture", size, iova);
	if (!(prot & (SHIM_IOMMU_READ | SHIM_IOMMU_WRITE)))
		violation("map without access");

	const std::lock_guard guard(domain->mutex);
	for (const iommu_group *group : domain->groups)
		for (const shim_reserved_region &region : group->reserved)
			if (region.type != SHIM_RESV_DIRECT_RELAXABLE &&
			    overlaps(iova, last, region))
				violation("map at %#llx in a reserved region", iova);
	domain->maps++;
	u64 first = 0;
	u64 end = domain->hardware.unmaps_whole_pages ? 0 : size;
	for (u64 offset = 0; offset < size; offset += kPage) {
		if (offset == end) {
			first = end;
			end += page_for(*domain, iova + offset, phys + offset, size - offset);
		}
		const Pte pte{(phys + offset) / kPage, prot, offset == first,
			      offset == end - kPage};

		if (!domain->ptes.emplace(iova + offset, pte).second)
			violation("map at %#llx, which is mapped", iova + offset);
		if (domain->stale.count(iova + offset) && !domain->hardware.unmaps_whole_pages)
			violation("map at %#llx, which is not flushed", iova + offset);
		phys::mapped(pte.pfn);
	}
}

int shim_domain_map(iommu_domain *domain, u64 iova, u64 phys, u64 size, u32 prot)
{
	note_sleep("shim_domain_map");
	return shim_domain_map_atomic(domain, iova, phys, size, prot);
}

int shim_domain_map_atomic(iommu_domain *domain, u64 iova, u64 phys, u64 size, u32 prot)
{
	const DomainUsers::Call call = domain->users.work();
	if (plan.hit(Fail::kDomainMap))
		return -ENOMEM;
	map_piece(domain, iova, phys, size, prot);
	return 0;
}

int shim_domain_map_runs(iommu_domain *domain, u64 iova, const shim_pin_run *runs, u32 count,
			 u32 prot, void *scratch)
{
	const DomainUsers::Call call = domain->users.work();
	note_sleep("shim_domain_map_runs");
	if (count == 0 || count > SHIM_MAX_RUNS || !scratch)
		violation("map of %u runs", count);
	if (plan.hit(Fail::kDomainMap))
		return -ENOMEM;
	for (u32 i = 0; i < count; i++) {
		const u64 size = runs[i].npages * kPage;

		if (size >= u64{1} << 32)
			violation("run of %#llx bytes in a list", size);
		if ((runs[i].pfn & SHIM_PIN_PFN_MASK) >= kDevicePfn)
			violation("memory without struct pages in a list");
		map_piece(domain, iova, (runs[i].pfn & SHIM_PIN_PFN_MASK) * kPage, size, prot);
		iova += size;
	}
	return 0;
}

// storage[0] of a gather counts its unmaps, and is this once it has been flushed:
// then it must be initialised again.
constexpr u64 kNoGather = u64{1} << 32;

// Takes the PTEs out. Devices reach the pages until the flush.
u64 shim_domain_unmap(iommu_domain *domain, u64 iova, u64 size, shim_gather *gather)
{
	const DomainUsers::Call call = domain->users.work();
	const std::lock_guard guard(domain->mutex);
	note_sleep("shim_domain_unmap");
	const u64 last = iova + (size - 1);
	const auto first_pte = domain->ptes.find(iova);
	u64 unmapped = 0;
	bool last_mark = false;

	domain->unmaps++;
	if (gather->storage[0]++ >= kNoGather)
		violation("unmap with a gather that was flushed");
	if (size == 0 || last < iova)
		violation("unmap of %#llx bytes at %#llx", size, iova);
	if (domain->hardware.unmaps_whole_calls && first_pte == domain->ptes.end() &&
	    iova % SHIM_MAX_FLUSH == 0)
		return 0;
	if (first_pte == domain->ptes.end() ||
	    !(first_pte->second.start || iova % SHIM_MAX_FLUSH == 0))
		violation("unmap at %#llx, where no mapping begins", iova);
	for (auto at = first_pte;
	     at != domain->ptes.end() &&
	     (at->first <= last || (domain->hardware.unmaps_whole_calls && !last_mark));) {
		last_mark = at->second.last;
		domain->stale.emplace(at->first, at->second.pfn);
		at = domain->ptes.erase(at);
		unmapped += kPage;
	}
	if (!(last_mark || (last + 1) % SHIM_MAX_FLUSH == 0) ||
	    (unmapped != size && !domain->hardware.unmaps_whole_calls))
		violation("unmap of %#llx bytes at %#llx splits a mapping", size, iova);
	return unmapped;
}

void shim_gather_init(shim_gather *gather)
{
	gather->storage[0] = 0;
}

// Devices reach only what lies in the block no more.
void shim_domain_flush(iommu_domain *domain, shim_gather *gather, u64 first, u64 last)
{
	const DomainUsers::Call call = domain->users.work();
	const std::lock_guard guard(domain->mutex);
	const u64 mask = last - first;

	note_sleep("shim_domain_flush");
	if (gather->storage[0] == 0 || gather->storage[0] >= kNoGather)
		violation("flush of nothing");
	if (last < first || mask >= SHIM_MAX_FLUSH || (mask & (mask + 1)) || (first & mask))
		violation("flush of %#llx to %#llx, which is no block", first, last);
	gather->storage[0] = kNoGather;
	domain->flushes++;
	const auto begin = domain->stale.lower_bound(first), end = domain->stale.upper_bound(last);
	for (auto at = begin; at != end; ++at)
		phys::unmapped(at->second);
	domain->stale.erase(begin, end);
}

u64 shim_domain_pgsize_bitmap(const iommu_domain *domain)
{
	return domain->hardware.pgsizes;
}

void shim_domain_aperture(const iommu_domain *domain, u64 *first, u64 *last)
{
	*first = domain->hardware.aperture_first;
	*last = domain->hardware.aperture_last;
}

bool shim_domain_enforce_coherency(iommu_domain *domain)
{
	if (domain->groups.empty() || !domain->ptes.empty())
		violation("coherency enforced at the wrong time");
	domain->enforces_coherency = domain->hardware.coherent;
	return domain->enforces_coherency;
}

u64 shim_domain_driver(const iommu_domain *domain)
{
	return domain->hardware.driver;
}

int shim_domain_reserve_msi(iommu_domain *domain, u64 iova)
{
	if (plan.hit(Fail::kReserveMsi))
		return -ENOMEM;
	if (!domain->hardware.has_msi_cookie)
		return -ENODEV;
	domain->msi_window = iova;
	return 0;
}

int shim_group_reserved(iommu_group *group,
			int (*visit)(void *arg, const shim_reserved_region *region), void *arg)
{
	if (plan.hit(Fail::kReserved))
		return -ENOMEM;
	for (const shim_reserved_region &region : group->reserved)
		if (const int ret = visit(arg, &region))
			return ret;
	return 0;
}

int shim_group_id(iommu_group *)
{
	return 7;
}

void shim_group_device_name(iommu_group *, char name[SHIM_DEVICE_NAME])
{
	strcpy(name, "device");
}

bool shim_group_msi_isolated(iommu_group *group)
{
	return group->msi_isolated;
}
