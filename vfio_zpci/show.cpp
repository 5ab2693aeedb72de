// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of a guest's IOMMU. Who reads waits for nobody who attaches or detaches a
// group, but may wait for a piece of a refresh.
#include "dma/show.hpp"
#include "entry.h"
#include "vfio_cxx/iommu_extension.h"
#include "zpci.hpp"

namespace vfio {

int Zpci::show(u32 part, u64 *cursor, seq_file *seq)
{
	if (part == VFIO_IOMMU_SHOW_MAPPINGS)
		return show_mapping(memory_.tree(), cursor, seq);

	if (!lock_.take_shared(Context::kAtomic))
		return -EBUSY;

	const ReadGuard guard(lock_, AlreadyTaken());

	switch (part) {
	case VFIO_IOMMU_SHOW_SUMMARY:
		show_mapping_summary(memory_.tree(), seq);
		break;
	case VFIO_IOMMU_SHOW_DOMAINS:
		show_domains(seq);
		break;
	case VFIO_IOMMU_SHOW_STATISTICS:
		show_statistics(seq);
		break;
	default:
		break;
	}
	return 0;
}

void Zpci::show_domains(seq_file *seq)
{
	u32 number = 0;

	for (FunctionGroup &group : groups_)
		shim_seq_printf(seq,
				"domain %u nested_pages %llu bytes %llu coherent %d groups %d\n",
				number++, group.nested().npages(), group.nested().bytes(),
				group.coherent(), shim_group_id(group.group));
}

void Zpci::show_statistics(seq_file *seq)
{
	show_mapping_totals(memory_.tree(), seq);
	for (Function &function : functions_) {
		vfio_zpci_statistics statistics = {};

		function.get_statistics(statistics);
		shim_seq_printf(
			seq,
			"function 0x%llx group %d state %u refreshes %llu errors %llu mapped %llu "
			"unmapped %llu pages %llu\n",
			function.range().first.value, shim_group_id(function.group.group),
			statistics.state, statistics.refreshes, statistics.errors,
			statistics.mapped, statistics.unmapped, statistics.pages);
	}
}

} // namespace vfio

using namespace vfio;

CORE_ENTRY int zpci_show(zpci *handle, u32 part, u64 *cursor, seq_file *seq)
{
	return Zpci::of(handle).show(part, cursor, seq);
}
