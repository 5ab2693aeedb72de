// SPDX-License-Identifier: GPL-2.0
//
// What debugfs shows of a container: vfio/containers/NUMBER. Who reads takes groups_lock_ for one
// record at a time, shared, and only if nobody holds or wants it exclusively: an attach may pin
// memory for minutes, and a reader must neither wait for it nor be waited for. As long as a reader
// has the lock the container keeps its groups, and so its IOMMU.
#include "container.hpp"
#include "device.hpp"
#include "entry.h"
#include "group.hpp"

namespace vfio {

void Container::make_debug_dir()
{
	debug_dir_.reset(shim_debug_container(this, number_));
}

int Container::show(u32 part, u64 *cursor, seq_file *seq)
{
	// These two need no lock, so that they can be read at any time.
	if (part == SHIM_DEBUG_OWNER) {
		shim_seq_printf(seq, "pid %d\ncomm %s\n", owner_.pid, owner_.name);
		return 0;
	}
	if (part == SHIM_DEBUG_STATISTICS)
		calls_.show(seq);

	if (!groups_lock_.take_shared(Context::kAtomic))
		return -EBUSY;

	const ReadGuard guard(groups_lock_, AlreadyTaken());

	if (part == SHIM_DEBUG_GROUPS) {
		show_groups(seq);
		return 0;
	}
	return show_iommu(part, cursor, seq);
}

void Container::show_groups(seq_file *seq) const
{
	for (Group &group : groups_)
		group.show(seq);
}

int Container::show_iommu(u32 part, u64 *cursor, seq_file *seq)
{
	const RefPtr<ContainerIommu> iommu = this->iommu();

	if (!iommu)
		return 0;
	if (part == SHIM_DEBUG_SUMMARY)
		shim_seq_printf(seq, "iommu %s\n", iommu->name());
	return iommu->show(part, cursor, seq);
}

CORE_ENTRY int vfio_core_container_show(vfio_container *container, u32 file, u64 *cursor,
					seq_file *seq)
{
	return Container::of(container).show(file, cursor, seq);
}

void Group::show(seq_file *seq)
{
	static constexpr const char *kTypes[] = {"iommu", "emulated", "noiommu"};
	const RefPtr<MergedSet> set = share_set();

	shim_seq_printf(seq, "group %d type %s merged %d\n", shim_iommu_group_id(kernel_group()),
			kTypes[type_], set && set->merged());

	const Guard guard(devices_lock_);

	for (const Device &device : devices_)
		device.show_in_group(seq);
}

} // namespace vfio
