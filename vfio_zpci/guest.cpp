// SPDX-License-Identifier: GPL-2.0
//
// The guest's memory: MAP_DMA and UNMAP_DMA, and what GET_INFO says of it.
#include "entry.h"
#include "vfio_zpci/shim/trace.h"
#include "vocab/info_chain.hpp"
#include "zpci.hpp"

namespace vfio {

Result<void> Zpci::get_info(UserVa arg)
{
	using Info = vfio_iommu_type1_info;
	using DmaAvail = vfio_iommu_type1_info_dma_avail;

	Info info = {};
	size_t size = OFFSET_END(Info, iova_pgsizes);

	TRY(copy_in(&info, arg, size));
	if (info.argsz < size)
		return Error(EINVAL);
	if (info.argsz >= OFFSET_END(Info, cap_offset))
		size = OFFSET_END(Info, cap_offset);

	InfoChain chain;
	DmaAvail *avail = TRY(chain.add<DmaAvail>(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1));
	avail->avail = memory_.available();
	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = kPageMask;
	TRY(chain.copy_behind(arg, info));
	return copy_out(arg, &info, size);
}

Result<void> Zpci::map_dma(UserVa arg)
{
	constexpr u32 kFlags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
	vfio_iommu_type1_dma_map map;
	u32 prot = 0;

	TRY(copy_request(&map, arg, kFlags));

	const IovaRange gpas = TRY(IovaRange::of_size({map.iova}, map.size));
	const UserVa uva{map.vaddr};

	(void)TRY(Range<UserVa>::of_size(uva, map.size));
	if (map.flags & VFIO_DMA_MAP_FLAG_READ)
		prot |= SHIM_IOMMU_READ;
	if (map.flags & VFIO_DMA_MAP_FLAG_WRITE)
		prot |= SHIM_IOMMU_WRITE;
	if (prot == 0 || ((map.iova | map.vaddr | map.size) & ~kPageMask))
		return Error(EINVAL);
	// No guest's table has larger addresses.
	if (gpas.last.value >= kGuestAddressLimit)
		return Error(EINVAL);

	Result<void> added;
	{
		const ReadGuard guard(lock_);

		added = add_memory(gpas, uva, prot);
	}
	shim_zpci_trace_memory(true, map.iova, map.size, added.negative());
	return added;
}

// Errors: those of GuestMemory::add() and FunctionGroup::map_added_memory().
Result<void> Zpci::add_memory(IovaRange gpas, UserVa uva, u32 prot)
{
	const FunctionGroup *any = groups_.front();
	DmaRange &dma = *TRY(
		memory_.add(gpas, uva, prot, any ? any->group : nullptr, zpci_param_pin_workers()));
	Result<void> result;

	for (FunctionGroup &group : groups_) {
		result = group.map_added_memory(gpas);
		if (!result.ok())
			break;
	}
	if (result.ok()) {
		memory_.keep(dma);
		return {};
	}

	List<DmaRange> victims;
	memory_.drop(dma, victims);
	remove(victims);
	return result;
}

Result<void> Zpci::unmap_dma(UserVa arg)
{
	vfio_iommu_type1_dma_unmap unmap;

	TRY(copy_request(&unmap, arg, VFIO_DMA_UNMAP_FLAG_ALL));

	IovaRange gpas = kAllIova;
	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_ALL) {
		if (unmap.iova || unmap.size)
			return Error(EINVAL);
	} else {
		if ((unmap.iova | unmap.size) & ~kPageMask)
			return Error(EINVAL);
		gpas = TRY(IovaRange::of_size({unmap.iova}, unmap.size));
	}

	Result<u64> removed = u64{0};
	{
		const ReadGuard guard(lock_);

		removed = remove_memory(gpas);
	}
	shim_zpci_trace_memory(false, unmap.iova, unmap.size, removed.error().negative());
	unmap.size = TRY(removed);
	return put_user(arg + __builtin_offsetof(vfio_iommu_type1_dma_unmap, size), unmap.size);
}

// Returns the bytes that were removed. Errors: those of GuestMemory::take().
Result<u64> Zpci::remove_memory(IovaRange gpas)
{
	List<DmaRange> victims;

	TRY(memory_.take(gpas, victims));
	if (victims.empty())
		return u64{0};
	return remove(victims);
}

// Removes busy mappings: no device reaches them when they are unpinned.
u64 Zpci::remove(List<DmaRange> &victims)
{
	for (FunctionGroup &group : groups_)
		group.nested().forget_unknown();
	return memory_.remove(victims);
}

// The caller has lock_ exclusively, so that no mapping is busy or held.
void Zpci::remove_all_memory()
{
	List<DmaRange> victims;

	if (memory_.take(kAllIova, victims).ok())
		remove(victims);
}

} // namespace vfio
