// SPDX-License-Identifier: GPL-2.0
//
// The life of a container's IOMMU, and VFIO_IOMMU_MAP_DMA.
#include "core.h"
#include "pinner.hpp"
#include "type1.hpp"

namespace vfio {

constinit LockClass Type1::lock_class_ = {"vfio_type1", {}};
constinit LockClass Type1::devices_lock_class_ = {"vfio_type1_devices", {}};

Result<UniquePtr<Type1>> Type1::create(u64 extension)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
		return make<Type1>(false, false);
	case VFIO_TYPE1v2_IOMMU:
		return make<Type1>(true, false);
	case VFIO_TYPE1_NESTING_IOMMU:
		return make<Type1>(true, true);
	default:
		return Error(EINVAL);
	}
}

Type1::Type1(bool v2, bool nesting)
	: v2_(v2), nesting_(nesting), dma_avail_(type1_param_dma_entry_limit())
{
	shim_device_list_init(&devices_);
}

Type1::~Type1()
{
	const Guard guard(lock_);

	while (AttachedGroup *attached = emulated_groups_.pop_front())
		destroy(attached);
	remove_all();
	while (Domain *domain = domains_.pop_front())
		destroy(domain);
}

bool Type1::coherent()
{
	const Guard guard(lock_);

	for (const Domain &domain : domains_)
		if (!domain.coherent())
			return false;
	return true;
}

bool Type1::can_update_vaddr()
{
	const Guard guard(lock_);

	return emulated_groups_.empty();
}

Result<void> Type1::map_dma(const vfio_iommu_type1_dma_map &map)
{
	const IovaRange range = TRY(IovaRange::of_size({map.iova}, map.size));
	const UserVa uva{map.vaddr};
	const bool set_vaddr = map.flags & VFIO_DMA_MAP_FLAG_VADDR;
	u32 prot = 0;

	(void)TRY(Range<UserVa>::of_size(uva, map.size));
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= SHIM_IOMMU_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= SHIM_IOMMU_WRITE;
	if ((prot != 0) == set_vaddr)
		return Error(EINVAL);

	const Guard guard(lock_);

	if ((map.iova | map.vaddr | map.size) & ((u64{1} << pgshift()) - 1))
		return Error(EINVAL);
	if (set_vaddr)
		return restore_vaddr(range, uva);
	return create_mapping(range, uva, prot);
}

Result<void> Type1::restore_vaddr(IovaRange range, UserVa uva)
{
	DmaRange *dma = dmas_.first_in(range);

	if (!dma)
		return Error(ENOENT);
	if (!dma->vaddr_invalid || dma->range() != range)
		return Error(EINVAL);
	TRY(dma->change_owner(uva));
	dma->vaddr_invalid = false;
	vaddr_invalid_count_--;
	return {};
}

Result<void> Type1::create_mapping(IovaRange range, UserVa uva, u32 prot)
{
	if (dmas_.first_in(range))
		return Error(EEXIST);
	if (dma_avail_ == 0)
		return Error(ENOSPC);
	if (!space_.valid(range))
		return Error(EINVAL);

	UniquePtr<DmaRange> dma =
		TRY(make<DmaRange>(range, uva, prot, TRY(Owner::of_caller())));

	if (dirty_tracking_)
		TRY(allocate_bitmap(*dma));
	if (hardware())
		TRY(pin_and_map(*dma));
	dmas_.insert(*dma.release());
	dma_avail_--;
	return {};
}

Result<void> Type1::pin_and_map(DmaRange &dma)
{
	TRY(pin_range(dma));
	for (Domain &domain : domains_) {
		const Result<void> mapped = domain.map(dma);
		if (mapped.ok())
			continue;

		for (Domain *earlier = domains_.prev(domain); earlier;
		     earlier = domains_.prev(*earlier))
			earlier->unmap(dma);
		unpin_range(dma);
		return mapped.error();
	}
	dma.iommu_mapped = true;
	return {};
}

Result<void> Type1::allocate_bitmap(DmaRange &dma)
{
	const IovaRange range = dma.range();

	return dma.dirty.allocate(((range.last - range.first) >> pgshift()) + 1);
}

} // namespace vfio
