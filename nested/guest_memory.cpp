// SPDX-License-Identifier: GPL-2.0
#include "guest_memory.hpp"

#include "dma/pinner.hpp"

namespace vfio {

constinit LockClass GuestMemory::lock_class_ = {"guest_memory", {}};

namespace {

// What makes a pinned mapping known. Errors: ENOMEM.
Result<UniquePtr<GuestMapping>> mapping_of(const DmaRange &dma)
{
	return make<GuestMapping>(dma, TRY(PinLookup::of(dma.pins)));
}

} // namespace

Result<DmaRange *> GuestMemory::add(IovaRange gpas, UserVa uva, u32 prot, iommu_group *group,
				    u32 workers)
{
	UniquePtr<DmaRange> made = TRY(make<DmaRange>(gpas, uva, prot));
	{
		const Guard guard(tree_.lock);

		TRY(tree_.insert_busy(*made));
	}

	// The tree owns it now.
	DmaRange &dma = *made.release();
	Result<void> result = pin_range(dma, group, workers);
	if (result.ok()) {
		Result<UniquePtr<GuestMapping>> mapping = mapping_of(dma);

		if (mapping.ok()) {
			{
				const WriteGuard guard(lock);

				known_.insert(*mapping.take().release());
				npages_ += gpas.npages();
			}
			{
				const Guard guard(tree_.lock);

				DmaTree::hold(dma);
			}
			tree_.settle(dma);
			return &dma;
		}
		result = mapping.error();
		unpin_range(dma);
	}

	tree_.remove_failed(dma);
	return result.error();
}

// Busy mappings are not known any more.
void GuestMemory::forget(const List<DmaRange> &victims)
{
	const WriteGuard guard(lock);

	for (const DmaRange &dma : victims) {
		GuestMapping *const mapping = known_.find(dma.range().first);

		known_.erase(*mapping);
		npages_ -= dma.range().npages();
		destroy(mapping);
	}
}

void GuestMemory::drop(DmaRange &dma, List<DmaRange> &victims)
{
	{
		const Guard guard(tree_.lock);

		tree_.let_go(dma);
		victims.push_back(dma);
		DmaTree::make_busy(victims);
	}
	forget(victims);
}

Result<void> GuestMemory::take(IovaRange gpas, List<DmaRange> &victims)
{
	{
		const Guard guard(tree_.lock);

		(void)TRY(tree_.list_idle(gpas, victims));
		if (victims.empty())
			return {};
		if (victims.front()->range().first < gpas.first ||
		    victims.back()->range().last > gpas.last) {
			victims.clear();
			return Error(EINVAL);
		}
		DmaTree::make_busy(victims);
	}
	forget(victims);
	return {};
}

u64 GuestMemory::remove(List<DmaRange> &victims)
{
	for (DmaRange &dma : victims)
		unpin_range(dma);
	return tree_.remove(victims);
}

u32 GuestMemory::available()
{
	const Guard guard(tree_.lock);

	return tree_.available();
}

} // namespace vfio
