// SPDX-License-Identifier: GPL-2.0
//
// VFIO_IOMMU_GET_INFO: page sizes, and after the structure a chain of capabilities:
// MIGRATION, DMA_AVAIL, and IOVA_RANGE if a hardware domain limits the IOVAs.
#include "type1.hpp"
#include "vocab/info_chain.hpp"

namespace vfio {

Result<void> Type1::get_info(UserVa arg)
{
	using Info = vfio_iommu_type1_info;

	Info info = {};
	size_t size = OFFSET_END(Info, iova_pgsizes);

	TRY(copy_in(&info, arg, size));
	if (info.argsz < size)
		return Error(EINVAL);
	// Programs built before there were capabilities have no cap_offset.
	size = min<size_t>(info.argsz, sizeof(info));

	InfoChain chain;

	TRY(describe(info, chain));
	TRY(chain.copy_behind(arg, info));
	return copy_out(arg, &info, size);
}

Result<void> Type1::describe(vfio_iommu_type1_info &info, InfoChain &chain)
{
	using Migration = vfio_iommu_type1_info_cap_migration;
	using DmaAvail = vfio_iommu_type1_info_dma_avail;
	using IovaRanges = vfio_iommu_type1_info_cap_iova_range;
	constexpr u16 kVersion = 1;
	const ReadGuard groups(groups_lock_);

	info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info.iova_pgsizes = domains_.page_sizes();

	Migration *migration =
		TRY(chain.add<Migration>(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, kVersion));

	migration->pgsize_bitmap = u64{1} << pgshift();
	migration->max_dirty_bitmap_size = DirtyBitmap::kMaxBytes;

	DmaAvail *avail = TRY(chain.add<DmaAvail>(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, kVersion));
	{
		const Guard guard(dmas_.lock);

		avail->avail = dmas_.available();
	}

	if (!domains_.space().unbounded()) {
		const u32 windows = domains_.space().count();
		IovaRanges *ranges =
			TRY(chain.add<IovaRanges>(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, kVersion,
						  windows * sizeof(vfio_iova_range)));
		vfio_iova_range *next = ranges->iova_ranges;

		ranges->nr_iovas = windows;
		domains_.space().each([&](IovaRange window) {
			*next++ = {window.first.value, window.last.value};
		});
	}
	return {};
}

} // namespace vfio
