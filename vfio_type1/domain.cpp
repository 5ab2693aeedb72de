// SPDX-License-Identifier: GPL-2.0
#include "domain.hpp"

#include "core.h"
#include "shim/lock.h"

namespace vfio {

AttachedGroup *find_group(const GroupList &groups, const iommu_group *group)
{
	for (AttachedGroup &attached : groups)
		if (attached.group == group)
			return &attached;
	return nullptr;
}

Result<UniquePtr<Domain>> Domain::create(iommu_group *group)
{
	iommu_domain *domain = shim_domain_alloc(group);
	if (!domain)
		return Error(EIO);

	Result<UniquePtr<Domain>> made = make<Domain>(domain);
	if (!made.ok())
		shim_domain_free(domain);
	return made;
}

Domain::~Domain()
{
	while (AttachedGroup *attached = groups.pop_front()) {
		detach(attached->group);
		destroy(attached);
	}
	shim_domain_free(domain_);
}

IovaRange Domain::aperture() const
{
	IovaRange aperture;

	shim_domain_aperture(domain_, &aperture.first.value, &aperture.last.value);
	return aperture;
}

Result<void> Domain::map_run(Iova iova, const PinRun &run, u32 prot)
{
	const u64 step = type1_param_disable_hugepages() ? 1 : run.npages();

	for (u64 done = 0; done < run.npages(); done += step) {
		const int ret = shim_domain_map(domain_, (iova + done * kPageSize).value,
						phys_of(run.first() + done).value,
						step * kPageSize, prot);
		if (ret) {
			unmap_part(iova, done * kPageSize);
			return Error::from_negative(ret);
		}
		shim_cond_resched();
	}
	return {};
}

void Domain::unmap_part(Iova iova, u64 size)
{
	if (size == 0)
		return;
	WARN_ONCE_IF(shim_domain_unmap(domain_, iova.value, size) != size,
		     "the IOMMU did not unmap what was mapped");
}

Result<void> Domain::map(const DmaRange &dma)
{
	// VFIO offers no way to make a device's view coherent again, so that
	// all DMA snoops.
	const u32 prot = dma.prot() | SHIM_IOMMU_CACHE;
	const Iova first = dma.range().first;

	return dma.pins.try_each([&](u64 offset, const PinRun &run) -> Result<void> {
		Result<void> result = map_run(first + offset * kPageSize, run, prot);

		if (!result.ok())
			unmap_part(first, offset * kPageSize);
		return result;
	});
}

void Domain::unmap(const DmaRange &dma)
{
	unmap_part(dma.range().first, dma.range().size());
	shim_cond_resched();
}

} // namespace vfio
