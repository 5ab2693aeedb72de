// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of a container's IOMMU. Who reads waits for nobody who attaches or detaches a
// group, which may take minutes.
#include "dma/show.hpp"
#include "entry.h"
#include "type1.hpp"
#include "vfio_cxx/iommu_extension.h"

namespace vfio {

int Type1::show(u32 part, u64 *cursor, seq_file *seq)
{
	if (part == VFIO_IOMMU_SHOW_MAPPINGS)
		return show_mapping(dmas_, cursor, seq);

	if (!groups_lock_.take_shared(Context::kAtomic))
		return -EBUSY;

	const ReadGuard groups(groups_lock_, AlreadyTaken());

	switch (part) {
	case VFIO_IOMMU_SHOW_SUMMARY:
		show_summary(seq);
		break;
	case VFIO_IOMMU_SHOW_DOMAINS:
		domains_.show(seq);
		break;
	case VFIO_IOMMU_SHOW_STATISTICS:
		show_statistics(seq);
		break;
	default:
		break;
	}
	return 0;
}

void Type1::show_summary(seq_file *seq)
{
	bool dirty = false;
	u32 invalid = 0;

	shim_seq_printf(seq, "interface %s\npage_sizes 0x%llx\n",
			nesting_ ? "nesting" :
			v2_	 ? "v2" :
				   "v1",
			domains_.page_sizes());
	if (!domains_.space().unbounded())
		domains_.space().each([seq](IovaRange window) {
			shim_seq_printf(seq, "iova 0x%llx-0x%llx\n", window.first.value,
					window.last.value);
		});
	{
		const Guard guard(dmas_.lock);

		dirty = dirty_tracking_;
		invalid = dmas_.vaddr_invalid();
	}
	shim_seq_printf(seq, "dirty_tracking %d\nno_vaddr %u\n", dirty, invalid);
	show_mapping_summary(dmas_, seq);
}

void Type1::show_statistics(seq_file *seq)
{
	Counts counts;
	{
		const Guard guard(dmas_.lock);

		counts = counts_;
	}
	show_mapping_totals(dmas_, seq);
	shim_seq_printf(seq, "flushes %llu\n", domains_.flushes());
	shim_seq_printf(seq, "pin calls %llu pages %llu\nunpin pages %llu\n", counts.pin_calls,
			counts.pinned, counts.unpinned);
	shim_seq_printf(seq, "retries pin %llu unmap %llu\n", counts.pin_retries,
			unmap_retries_.load());
	pin_errors_.show(seq, "pin");
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY int type1_show(type1 *handle, u32 part, u64 *cursor, seq_file *seq)
{
	return Type1::of(handle).show(part, cursor, seq);
}
