// SPDX-License-Identifier: GPL-2.0
//
// Groups that join and leave a container, and what becomes of its mappings then.
#include "entry.h"
#include "type1.hpp"
#include "vfio_type1/shim/trace.h"

namespace vfio {

AttachedGroup *Type1::find_attached(const iommu_group *group) const
{
	AttachedGroup *attached = domains_.find(group);

	return attached ? attached : find_group(emulated_groups_, group);
}

Result<Domain *> Type1::group_domain(const iommu_group *group)
{
	const ReadGuard groups(groups_lock_);

	return domains_.domain_of(group);
}

Result<void> Type1::attach_group(iommu_group *group, bool emulated)
{
	const WriteGuard groups(groups_lock_);
	const Guard guard(dmas_.lock);

	// Attaching may pin, which needs the user addresses.
	if (dmas_.vaddr_invalid())
		return Error(EBUSY);
	if (find_attached(group))
		return Error(EINVAL);

	if (emulated) {
		// Its devices dirty only what they have pinned.
		emulated_groups_.push_front(*TRY(make<AttachedGroup>(group, true)).release());
		return {};
	}
	TRY(domains_.attach(group, dmas_,
			    {.nesting = nesting_,
			     .unsafe_interrupts = type1_param_allow_unsafe_interrupts(),
			     .map = map_policy()}));
	non_pinned_groups_++;
	return {};
}

// Without any group nobody uses the mappings: all are unmapped. Without hardware
// groups they stay for emulated ones, but are not pinned as a whole any more.
void Type1::detach_group(iommu_group *group)
{
	const WriteGuard groups(groups_lock_);
	AttachedGroup *attached = find_attached(group);

	if (!attached)
		return;

	const bool pinned_dirty_scope = attached->pinned_dirty_scope;
	if (domains_.detach(group)) {
		if (!domains_.has_groups())
			emulated_groups_.empty() ? unmap_everything() : keep_external_only();
		domains_.drop_unused(dmas_);
	} else {
		emulated_groups_.remove(*attached);
		destroy(attached);
		if (emulated_groups_.empty() && domains_.empty())
			unmap_everything();
	}
	if (pinned_dirty_scope)
		return;

	// Other groups may dirty only what they pin. What this group has written is
	// not known, so that everything counts as dirty once.
	const Guard guard(dmas_.lock);

	non_pinned_groups_--;
	if (dirty_tracking_)
		for (DmaRange &dma : dmas_.all())
			dma.mark_all_dirty();
}

// Unpins mappings, but for the pages that devices have pinned themselves.
void Type1::keep_external_only()
{
	const Guard guard(dmas_.lock);
	List<DmaRange> all;

	dmas_.list_all(all);
	domains_.unmap(all);
	while (DmaRange *dma = all.pop_front())
		dma->charge_external_alone();
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY int type1_attach_group(type1 *handle, iommu_group *group, bool emulated)
{
	const int result = Type1::of(handle).attach_group(group, emulated).negative();

	shim_type1_trace_attach(group, emulated, result);
	return result;
}

CORE_ENTRY void type1_detach_group(type1 *handle, iommu_group *group)
{
	Type1::of(handle).detach_group(group);
	shim_type1_trace_detach(group);
}

CORE_ENTRY int type1_group_domain(type1 *handle, iommu_group *group, iommu_domain **domain)
{
	Result<Domain *> result = Type1::of(handle).group_domain(group);

	if (!result.ok())
		return result.error().negative();
	*domain = result.value()->get();
	return 0;
}

CORE_ENTRY int type1_find_domain(type1 *handle, iommu_group *group, void **domain)
{
	Result<Domain *> result = Type1::of(handle).group_domain(group);

	if (!result.ok())
		return result.error().negative();
	*domain = result.value();
	return 0;
}

CORE_ENTRY void type1_cut(void *domain, iommu_group *group)
{
	static_cast<Domain *>(domain)->detach(group);
}

CORE_ENTRY int type1_restore(void *domain, iommu_group *group)
{
	return static_cast<Domain *>(domain)->attach(group).negative();
}
