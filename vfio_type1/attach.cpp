// SPDX-License-Identifier: GPL-2.0
//
// Groups that join and leave a container, and the domains that come and go
// with them.
#include "dma/pinner.hpp"
#include "entry.h"
#include "type1.hpp"

namespace vfio {

namespace {

template <class F> Result<void> each_reserved(iommu_group *group, F visit)
{
	const auto call = [](void *arg, const shim_reserved_region *region) {
		return (*static_cast<F *>(arg))(*region).negative();
	};

	return Result<void>::from_negative(shim_group_reserved(group, call, &visit));
}

IovaRange range_of(const shim_reserved_region &region)
{
	return {{region.first}, {region.last}};
}

// Regions that a device needs only until it has a driver of its own.
bool relaxable(const shim_reserved_region &region)
{
	return region.type == SHIM_RESV_DIRECT_RELAXABLE;
}

} // namespace

AttachedGroup *Type1::group_entry(iommu_group *group)
{
	for (const Domain &domain : domains_)
		if (AttachedGroup *attached = find_group(domain.groups, group))
			return attached;
	return find_group(emulated_groups_, group);
}

Result<iommu_domain *> Type1::group_domain(iommu_group *group)
{
	const ReadGuard groups(groups_lock_);

	for (const Domain &domain : domains_)
		if (find_group(domain.groups, group))
			return domain.get();
	return Error(ENODEV);
}

Result<void> Type1::attach_group(iommu_group *group, bool emulated)
{
	const WriteGuard groups(groups_lock_);
	const Guard guard(lock_);

	// Attaching pins, which needs the addresses.
	if (vaddr_invalid_count_)
		return Error(EBUSY);
	if (group_entry(group))
		return Error(EINVAL);

	// What an emulated group dirties it has pinned.
	UniquePtr<AttachedGroup> attached = TRY(make<AttachedGroup>(group, emulated));
	if (!emulated)
		return attach_hardware(vfio::move(attached));
	emulated_groups_.push_front(*attached.release());
	return {};
}

Result<void> Type1::attach_hardware(UniquePtr<AttachedGroup> entry)
{
	iommu_group *const group = entry->group;
	UniquePtr<Domain> domain = TRY(Domain::create(group));

	if (nesting_)
		TRY(Result<void>::from_negative(shim_domain_enable_nesting(domain->get())));
	TRY(domain->attach(group));

	// The domain is the entry's owner now: when it goes, the group leaves.
	AttachedGroup &attached = *entry.release();
	domain->groups.push_back(attached);
	attached.aperture = domain->aperture();

	IovaSpace space;
	MsiWindow msi;
	TRY(space.copy(space_));
	TRY(narrow(space, attached.aperture, group, msi));

	if (!type1_param_allow_unsafe_interrupts() && !shim_group_msi_isolated(group)) {
		shim_log_warn("no interrupt remapping: a device could raise any interrupt. "
			      "Parameter allow_unsafe_interrupts allows it");
		return Error(EPERM);
	}

	// Lets KVM leave out what it does for devices that do not snoop.
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
		TRY(populate(*domain));
		domains_.push_front(*domain.release());
		pgsize_bitmap_ = page_sizes;
	}

	space_.swap(space);
	count_non_pinned(1);
	return {};
}

// Takes out of space what the aperture and the group's reserved regions leave
// no room for. Errors: EINVAL if a mapping is in the way, ENOMEM.
Result<void> Type1::narrow(IovaSpace &space, IovaRange aperture, iommu_group *group, MsiWindow &msi)
{
	const RangeTree<DmaRange> *const dmas = &dmas_;
	const DmaRange *first = dmas->first();
	const DmaRange *above =
		aperture.last == kAllIova.last ? nullptr : dmas->first_from(aperture.last + 1);

	if (!space.span().overlaps(aperture) || above ||
	    (first && first->range().first < aperture.first))
		return Error(EINVAL);
	TRY(space.restrict_to(aperture));

	return each_reserved(group, [&](const shim_reserved_region &region) -> Result<void> {
		if (relaxable(region))
			return {};
		if (region.type == SHIM_RESV_MSI)
			msi.in_hardware = true;
		if (region.type == SHIM_RESV_SW_MSI) {
			msi.in_software = true;
			msi.first = {region.first};
		}
		if (dmas->first_in(range_of(region)))
			return Error(EINVAL);
		return space.exclude(range_of(region));
	});
}

// Moves the group from its own new domain to one of the container's, if their
// IOMMUs can share; false if not. On error the group is attached nowhere and
// its entry gone.
Result<bool> Type1::join_existing(Domain &from, AttachedGroup &attached)
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

// Gives a new domain all mappings; the first domain also pins them.
Result<void> Type1::populate(Domain &domain)
{
	const bool pin = !hardware();

	const auto unpin = [pin](DmaRange &dma) {
		if (!pin)
			return;
		unpin_range(dma);
		dma.uncharge_to(dma.external_counted());
	};
	List<DmaRange> mapped;

	for (DmaRange &dma : dmas_) {
		Result<void> result = pin ? pin_range(dma, domain.groups.front()->group,
						      type1_param_pin_workers()) :
					    Result<void>();

		if (result.ok()) {
			result = domain.map(dma, type1_param_disable_hugepages());
			if (!result.ok())
				unpin(dma);
		}
		if (!result.ok()) {
			domain.unmap_all(mapped);
			while (DmaRange *earlier = mapped.pop_front())
				unpin(*earlier);
			return result;
		}
		mapped.push_back(dma);
	}
	while (DmaRange *dma = mapped.pop_front())
		dma->iommu_mapped = true;
	return {};
}

void Type1::detach_group(iommu_group *group)
{
	const WriteGuard groups(groups_lock_);
	AttachedGroup *attached = group_entry(group);

	if (!attached)
		return;

	const bool was_pinned_scope = attached->pinned_dirty_scope;
	if (find_group(emulated_groups_, group)) {
		emulated_groups_.remove(*attached);
		destroy(attached);
		if (emulated_groups_.empty() && !hardware())
			remove_all();
	} else {
		for (Domain *domain = domains_.front(), *next = nullptr; domain; domain = next) {
			next = domains_.next(*domain);
			if (find_group(domain->groups, group))
				leave_domain(*domain, *attached);
		}
		// Without memory for it the old, narrower space stays.
		(void)rebuild_space();
	}

	if (was_pinned_scope)
		return;

	// Whoever is left may be able to tell what it dirties; what this group
	// wrote until now nobody can.
	const Guard guard(lock_);

	count_non_pinned(-1);
	if (dirty_tracking_)
		for (DmaRange &dma : dmas_)
			dma.mark_all_dirty();
}

// The group's devices own what the mappings name: with the last of them the
// mappings go; with the last that has an IOMMU, their pins.
void Type1::leave_domain(Domain &domain, AttachedGroup &attached)
{
	domain.detach(attached.group);
	domain.groups.remove(attached);
	destroy(&attached);
	if (!domain.groups.empty())
		return;

	if (!domains_.singular())
		empty(domain);
	else if (emulated_groups_.empty())
		remove_all();
	else
		keep_external_only();
	domains_.remove(domain);
	destroy(&domain);
	pgsize_bitmap_ = common_page_sizes(nullptr);
}

// Mappings stay in the other domains.
void Type1::empty(Domain &domain)
{
	const Guard guard(lock_);
	List<DmaRange> all;

	list_all(all);
	domain.unmap_all(all);
	all.clear();
}

// Mappings stay for devices that pin one by one.
void Type1::keep_external_only()
{
	const Guard guard(lock_);
	List<DmaRange> all;

	list_all(all);
	unmap_and_unpin(all);
	while (DmaRange *dma = all.pop_front())
		dma->charge_external_alone();
}

void Type1::list_all(List<DmaRange> &all)
{
	for (DmaRange &dma : dmas_)
		all.push_back(dma);
}

// The space as the groups that are attached now leave it.
Result<void> Type1::rebuild_space()
{
	IovaSpace space;

	TRY(space.restrict_to(kAllIova));
	for (const Domain &domain : domains_)
		for (const AttachedGroup &attached : domain.groups) {
			TRY(space.restrict_to(attached.aperture));
			TRY(each_reserved(attached.group,
					  [&](const shim_reserved_region &region) -> Result<void> {
						  if (relaxable(region))
							  return {};
						  return space.exclude(range_of(region));
					  }));
		}
	space_.swap(space);
	return {};
}

// The page sizes that all domains know, and one more if it is not nullptr.
// Pinning goes by the CPU's pages: an IOMMU's smaller ones are of no use on
// their own and count as one of those.
u64 Type1::common_page_sizes(const Domain *one_more) const
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

} // namespace vfio

using namespace vfio;

CORE_ENTRY int type1_attach_group(type1 *handle, iommu_group *group, bool emulated)
{
	return Type1::of(handle).attach_group(group, emulated).negative();
}

CORE_ENTRY void type1_detach_group(type1 *handle, iommu_group *group)
{
	Type1::of(handle).detach_group(group);
}

CORE_ENTRY int type1_group_domain(type1 *handle, iommu_group *group, iommu_domain **domain)
{
	Result<iommu_domain *> result = Type1::of(handle).group_domain(group);

	if (!result.ok())
		return result.error().negative();
	*domain = result.value();
	return 0;
}
