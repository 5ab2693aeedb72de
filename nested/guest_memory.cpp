// SPDX-License-Identifier: GPL-2.0
#include "guest_memory.hpp"

#include "dma/pinner.hpp"

namespace vfio {

Result<DmaRange *> GuestMemory::add(IovaRange gpas, UserVa uva, u32 prot, iommu_group *group,
				    u32 workers)
{
	UniquePtr<DmaRange> made = TRY(make<DmaRange>(gpas, uva, prot));
	{
		const Guard guard(tree.lock);

		TRY(tree.insert_busy(*made));
	}

	// The tree owns it now.
	DmaRange &dma = *made.release();
	Result<void> result = pin_range(dma, group, workers);
	if (result.ok()) {
		Result<UniquePtr<PinLookup>> lookup = PinLookup::of(dma.pins);

		if (lookup.ok()) {
			dma.lookup = lookup.take();
			{
				const Guard guard(tree.lock);

				npages_ += gpas.npages();
				DmaTree::hold(dma);
			}
			tree.settle(dma);
			return &dma;
		}
		result = lookup.error();
		unpin_range(dma);
	}

	List<DmaRange> failed;
	failed.push_back(dma);
	tree.remove(failed);
	return result.error();
}

void GuestMemory::drop(DmaRange &dma, List<DmaRange> &victims)
{
	const Guard guard(tree.lock);

	tree.let_go(dma);
	victims.push_back(dma);
	DmaTree::make_busy(victims);
	npages_ -= dma.range().npages();
}

Result<void> GuestMemory::take(IovaRange gpas, List<DmaRange> &victims)
{
	const Guard guard(tree.lock);

	(void)TRY(tree.list_idle(gpas, victims));
	if (victims.empty())
		return {};
	if (victims.front()->range().first < gpas.first ||
	    victims.back()->range().last > gpas.last) {
		victims.clear();
		return Error(EINVAL);
	}
	DmaTree::make_busy(victims);
	for (const DmaRange &dma : victims)
		npages_ -= dma.range().npages();
	return {};
}

u64 GuestMemory::remove(List<DmaRange> &victims)
{
	for (DmaRange &dma : victims) {
		dma.lookup.reset();
		unpin_range(dma);
	}
	return tree.remove(victims);
}

} // namespace vfio
