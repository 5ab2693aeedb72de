// SPDX-License-Identifier: GPL-2.0
#include "call_record.hpp"

#include "shim/time.h"
#include "shim/uapi.h"

namespace vfio {

constinit const char *const CallRecord::kNames[kCalls] = {"map", "unmap", "dirty", "other"};

CallRecord::Call CallRecord::call_of(u32 cmd)
{
	switch (cmd) {
	case VFIO_IOMMU_MAP_DMA:
		return kMap;
	case VFIO_IOMMU_UNMAP_DMA:
		return kUnmap;
	case VFIO_IOMMU_DIRTY_PAGES:
		return kDirty;
	default:
		return kOther;
	}
}

// Not inlined into Container::iommu_ioctl(), which seldom comes here.
[[gnu::cold, gnu::noinline]] void CallRecord::note(u32 cmd, long result, u64 ticks)
{
	OfCall &call = calls_[call_of(cmd)];
	u64 longest = call.longest.load();

	if (result < 0)
		call.failed.note(static_cast<int>(-result));
	while (ticks > longest && !call.longest.replace(longest, ticks))
		longest = call.longest.load();
}

void CallRecord::show(seq_file *seq) const
{
	for (u32 i = 0; i < kCalls; ++i) {
		const u64 longest = calls_[i].longest.load();

		calls_[i].failed.show(seq, kNames[i]);
		if (longest)
			shim_seq_printf(seq, "longest %s %llu ms\n", kNames[i],
					shim_ticks_to_ms(longest));
	}
}

} // namespace vfio
