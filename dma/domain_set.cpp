// SPDX-License-Identifier: GPL-2.0
#include "domain_set.hpp"

#include "pinner.hpp"
#include "shim/log.h"

namespace vfio {

// Where a group's message interrupts go, if software must choose the place.
struct DomainSet::MsiWindow {
	bool in_software = false;
	bool in_hardware = false;
	Iova first;
};

namespace {

IovaRange range_of(const shim_reserved_region &region)
{
	return {{region.first}, {region.last}};
}

// Calls visit(region) for what a group has reserved, until it returns an error.
// Regions that a device needs only until it has a driver of its own do not
// count.
template <class F> Result<void> each_reserved(iommu_group *group, F visit)
{
	const auto call = [](void *arg, const shim_reserved_region *region) {
		if (region->type == SHIM_RESV_DIRECT_RELAXABLE)
			return 0;
		return (*static_cast<F *>(arg))(*region).negative();
	};

	return Result<void>::from_negative(shim_group_reserved(group, call, &visit));
}

} // namespace

DomainSet::~DomainSet()
{
	while (Domain *domain = domains_.pop_front())
		destroy(domain);
}

bool DomainSet::coherent() const
{
	for (const Domain &domain : domains_)
		if (!domain.coherent())
			return false;
	return true;
}

bool DomainSet::can_nest() const
{
	for (const Domain &domain : domains_)
		if (shim_domain_can_nest(domain.get()))
			return true;
	return false;
}

// Returns the domain that a group is attached to, or nullptr.
Domain *DomainSet::domain_with(const iommu_group *group) const
{
	for (Domain &domain : domains_)
		if (find_group(domain.groups, group))
			return &domain;
	return nullptr;
}

AttachedGroup *DomainSet::find(const iommu_group *group) const
{
	const Domain *domain = domain_with(group);

	return domain ? find_group(domain->groups, group) : nullptr;
}

Result<Domain *> DomainSet::domain_of(const iommu_group *group) const
{
	Domain *domain = domain_with(group);

	if (!domain)
		return Error(ENODEV);
	return domain;
}

Result<void> DomainSet::attach(iommu_group *group, DmaTree &dmas, const AttachPolicy &policy)
{
	UniquePtr<AttachedGroup> entry = TRY(make<AttachedGroup>(group, false));
	UniquePtr<Domain> domain = TRY(Domain::create(group));

	if (policy.nesting)
		TRY(Result<void>::from_negative(shim_domain_enable_nesting(domain->get())));
	TRY(domain->attach(group));

	// The domain owns the entry now: when it goes, the group is detached.
	AttachedGroup &attached = *entry.release();
	domain->groups.push_back(attached);
	attached.aperture = domain->aperture();

	IovaSpace space;
	MsiWindow msi;
	TRY(space.copy(space_));
	TRY(narrow(space, attached, dmas, msi));

	if (!policy.unsafe_interrupts && !shim_group_msi_isolated(group)) {
		shim_log_warn("no interrupt remapping: a device could raise any interrupt. "
			      "Parameter allow_unsafe_interrupts allows it");
		return Error(EPERM);
	}

	// If the IOMMU makes all DMA snoop, KVM need not emulate what devices
	// that do not snoop would need.
	domain->enforce_coherency();

	if (!TRY(join_existing(*domain, attached))) {
		if (msi.in_software && !msi.in_hardware) {
			const int ret = shim_domain_reserve_msi(domain->get(), msi.first.value);

			if (ret && ret != -ENODEV)
				return Error::from_negative(ret);
		}
		const u64 page_sizes = common_page_sizes(domain.get());

		// Nothing could be mapped in all domains.
		if (page_sizes == 0)
			return Error(EINVAL);
		TRY(replay(domain, dmas, policy.map));
		page_sizes_ = page_sizes;
	}
	space_.swap(space);
	return {};
}

// Takes out of space what a group's aperture and reserved regions leave no room
// for. Errors: EINVAL if a mapping is in the way, ENOMEM.
Result<void> DomainSet::narrow(IovaSpace &space, const AttachedGroup &attached, const DmaTree &dmas,
			       MsiWindow &msi)
{
	if (!space.span().overlaps(attached.aperture) || !dmas.all_inside(attached.aperture))
		return Error(EINVAL);
	TRY(space.restrict_to(attached.aperture));

	return each_reserved(attached.group,
			     [&](const shim_reserved_region &region)
				     __no_lock_analysis -> Result<void> {
					     const IovaRange range = range_of(region);

					     if (region.type == SHIM_RESV_MSI)
						     msi.in_hardware = true;
					     if (region.type == SHIM_RESV_SW_MSI) {
						     msi.in_software = true;
						     msi.first = range.first;
					     }
					     if (dmas.first_in(range))
						     return Error(EINVAL);
					     return space.exclude(range);
				     });
}

// Moves a group from its own new domain to one of the set's, if their IOMMUs can
// share; returns false if not. On error the group is attached nowhere and its
// entry is freed.
Result<bool> DomainSet::join_existing(Domain &from, AttachedGroup &attached)
{
	for (Domain &domain : domains_) {
		if (!domain.compatible_with(from))
			continue;

		from.detach(attached.group);
		if (domain.attach(attached.group).ok()) {
			from.groups.remove(attached);
			domain.groups.push_front(attached);
			return true;
		}

		const Result<void> back = from.attach(attached.group);
		if (!back.ok()) {
			from.groups.remove(attached);
			destroy(&attached);
			return back.error();
		}
	}
	return false;
}

// Maps all mappings in a domain, and puts it into the set; for the first domain it also pins them.
// On error the domain has no mapping.
Result<void> DomainSet::replay(UniquePtr<Domain> &domain, DmaTree &dmas, const MapPolicy &policy)
{
	const bool pins = empty();
	List<DmaRange> mapped;
	List<DmaRange> borrowed;
	Result<void> result;

	const auto unpin = [pins](DmaRange &dma) {
		if (!pins)
			return;
		unpin_range(dma);
		dma.uncharge_to(dma.external.counted());
	};

	for (DmaRange &dma : dmas.all()) {
		if (pins)
			result = pin_range(dma, domain->groups.front()->group, policy.workers);
		if (!result.ok())
			break;
		if (dma.changes_in_parts()) {
			borrowed.push_back(dma);
			continue;
		}
		result = domain->map(dma, policy.small_pages);
		if (!result.ok()) {
			unpin(dma);
			break;
		}
		mapped.push_back(dma);
		shim_cond_resched();
	}
	if (result.ok())
		result = replay_borrowed(domain, borrowed, mapped, policy);
	else
		domain->unmap(mapped);
	mapped.take_all(borrowed);
	while (DmaRange *dma = mapped.pop_front()) {
		if (result.ok())
			dma->iommu_mapped = true;
		else
			unpin(*dma);
	}
	return result;
}

bool DomainSet::detach(iommu_group *group)
{
	Domain *domain = domain_with(group);

	if (!domain)
		return false;

	AttachedGroup *attached = find_group(domain->groups, group);

	domain->detach(group);
	domain->groups.remove(*attached);
	destroy(attached);
	return true;
}

bool DomainSet::has_groups() const
{
	for (const Domain &domain : domains_)
		if (!domain.groups.empty())
			return true;
	return false;
}

void DomainSet::drop_unused(DmaTree &dmas)
{
	for (Domain *domain = domains_.front(), *next = nullptr; domain; domain = next) {
		next = domains_.next(*domain);
		if (!domain->groups.empty())
			continue;
		{
			const Guard guard(dmas.lock);
			List<DmaRange> mapped;

			for (DmaRange &dma : dmas.all())
				if (dma.iommu_mapped)
					mapped.push_back(dma);

			const Guard borrowed(borrowed_lock_);

			domain->unmap(mapped);
			mapped.clear();
			domains_.remove(*domain);
		}
		destroy(domain);
	}
	{
		const Guard guard(dmas.lock);

		page_sizes_ = common_page_sizes(nullptr);
	}
	// Without memory the old space stays, which is narrower.
	(void)rebuild_space();
}

// Makes space_ anew from the groups that are attached now. Errors: ENOMEM.
Result<void> DomainSet::rebuild_space()
{
	IovaSpace space;

	TRY(space.restrict_to(kAllIova));
	for (const Domain &domain : domains_)
		for (const AttachedGroup &attached : domain.groups) {
			TRY(space.restrict_to(attached.aperture));
			TRY(each_reserved(attached.group, [&](const shim_reserved_region &region) {
				return space.exclude(range_of(region));
			}));
		}
	space_.swap(space);
	return {};
}

// The page sizes that all domains of the set have, and one_more if it is not nullptr.
// An IOMMU with pages smaller than the CPU's, in which memory is pinned, has those too.
u64 DomainSet::common_page_sizes(const Domain *one_more) const
{
	const auto of_pages = [](const Domain &domain) {
		const u64 sizes = domain.pgsize_bitmap();

		return sizes & ~kPageMask ? (sizes & kPageMask) | kPageSize : sizes;
	};
	u64 common = one_more ? of_pages(*one_more) : kPageMask;

	for (const Domain &domain : domains_)
		common &= of_pages(domain);
	return common;
}

Result<void> DomainSet::map(DmaRange &dma, const MapPolicy &policy) const
{
	TRY(pin_range(dma, any_group(), policy.workers));
	if (dma.has_borrowed && policy.borrow) [[unlikely]]
		return map_borrowed(dma, policy);
	return map_in_all(dma, policy);
}

// On error it is unpinned.
Result<void> DomainSet::map_in_all(DmaRange &dma, const MapPolicy &policy) const
{
	for (Domain &domain : domains_) {
		const Result<void> mapped = domain.map(dma, policy.small_pages);
		if (mapped.ok()) [[likely]]
			continue;

		List<DmaRange> one;
		one.push_back(dma);
		for (Domain *earlier = domains_.prev(domain); earlier;
		     earlier = domains_.prev(*earlier))
			earlier->unmap(one);
		one.clear();
		unpin_range(dma);
		return mapped;
	}
	dma.iommu_mapped = true;
	return {};
}

void DomainSet::unmap(const List<DmaRange> &dmas) const
{
	if (empty())
		return;
	if (any_borrowed(dmas)) [[unlikely]]
		unmap_borrowed(dmas);
	else
		for (Domain &domain : domains_)
			domain.unmap(dmas);
	for (DmaRange &dma : dmas) {
		dma.iommu_mapped = false;
		unpin_range(dma);
	}
}

u64 DomainSet::flushes() const
{
	u64 flushes = 0;

	for (const Domain &domain : domains_)
		flushes += domain.flushes();
	return flushes;
}

void DomainSet::show(seq_file *seq) const
{
	u32 number = 0;

	for (const Domain &domain : domains_) {
		shim_seq_printf(seq, "domain %u page_sizes 0x%llx coherent %d flushes %llu groups",
				number++, domain.pgsize_bitmap(), domain.coherent(),
				domain.flushes());
		for (const AttachedGroup &attached : domain.groups)
			shim_seq_printf(seq, " %d", shim_group_id(attached.group));
		shim_seq_printf(seq, "\n");
	}
}

} // namespace vfio
