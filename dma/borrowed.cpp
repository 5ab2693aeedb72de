// SPDX-License-Identifier: GPL-2.0
//
// DomainSet's work on memory without struct pages, which devices' register windows are. The IOMMU
// driver that has the DomainSet may say that some of it is shut: devices may not reach it. What is
// shut is mapped in no domain, but stays in the record of pins, so that it can be mapped again.
#include "domain_set.hpp"
#include "pinner.hpp"
#include "unmapper.hpp"

namespace vfio {

constinit LockClass DomainSet::borrowed_lock_class_ = {"vfio_dma_borrowed", {}};

// Notes which runs of a mapping that is in no domain are shut.
static void note_shut(DmaRange &dma, const BorrowPolicy &policy)
{
	dma.each_run([&](Iova, PinRun &run) {
		if (run.borrowed())
			run.set_shut(policy.shut(policy, run.first(), run.npages()));
	});
}

Result<void> DomainSet::map_borrowed(DmaRange &dma, const MapPolicy &policy) const
{
	const Result<void> begun = policy.borrow->begin(*policy.borrow);

	if (!begun.ok()) {
		unpin_range(dma);
		return begun;
	}

	const Guard guard(borrowed_lock_);

	note_shut(dma, *policy.borrow);
	TRY(map_in_all(dma, policy));
	borrowing_.push_back(dma);
	has_borrowed_.store(true);
	return {};
}

bool DomainSet::any_borrowed(const List<DmaRange> &dmas) const
{
	if (!has_borrowed_.load()) [[likely]]
		return false;
	for (const DmaRange &dma : dmas)
		if (dma.changes_in_parts())
			return true;
	return false;
}

void DomainSet::unmap_borrowed(const List<DmaRange> &dmas) const
{
	const Guard guard(borrowed_lock_);

	for (Domain &domain : domains_) {
		domain.unmap(dmas);
		// remap() has unmapped pages and left the flush to flush_remapped(). Where it then
		// mapped nothing, unmap() has nothing to do, and so does not flush either.
		domain.flush_remapped();
	}
	for (DmaRange &dma : dmas)
		if (dma.ListNode<Borrowing>::linked())
			borrowing_.remove(dma);
	has_borrowed_.store(!borrowing_.empty());
}

Result<void> DomainSet::replay_borrowed(UniquePtr<Domain> &domain, List<DmaRange> &borrowed,
					List<DmaRange> &mapped, const MapPolicy &policy)
{
	const bool pins = empty();

	if (pins && policy.borrow && !borrowed.empty()) {
		const Result<void> begun = policy.borrow->begin(*policy.borrow);

		if (!begun.ok()) {
			domain->unmap(mapped);
			return begun;
		}
	}

	const Guard guard(borrowed_lock_);

	while (DmaRange *dma = borrowed.front()) {
		if (pins && policy.borrow)
			note_shut(*dma, *policy.borrow);

		const Result<void> done = domain->map(*dma, policy.small_pages);

		if (!done.ok()) {
			// Here, where none is shut or let in meanwhile.
			domain->unmap(mapped);
			return done;
		}
		borrowed.remove(*dma);
		mapped.push_back(*dma);
	}
	if (pins && policy.borrow)
		for (DmaRange &dma : mapped)
			if (dma.has_borrowed) {
				borrowing_.push_back(dma);
				has_borrowed_.store(true);
			}
	domains_.push_front(*domain.release());
	return {};
}

Result<void> DomainSet::update_borrowed(const MapPolicy &policy) const
{
	const BorrowPolicy &borrow = *policy.borrow;
	const Guard guard(borrowed_lock_);

	for (const Domain &domain : domains_) {
		Unmapper unmapper(domain.get(), domain.use());

		for (DmaRange &dma : borrowing_) {
			if (!dma.has_borrowed)
				continue;
			dma.each_run([&](Iova at, PinRun &run) {
				if (run.borrowed() && !run.shut() &&
				    borrow.shut(borrow, run.first(), run.npages()))
					unmapper.unmap(run.at(at));
			});
		}
	}

	Result<void> result;

	for (DmaRange &dma : borrowing_) {
		if (!dma.has_borrowed)
			continue;
		dma.each_run([&](Iova at, PinRun &run) {
			if (!run.borrowed())
				return;

			const bool shut = borrow.shut(borrow, run.first(), run.npages());

			if (run.shut() && !shut && result.ok())
				result = put_back(dma, at, run, policy.small_pages);
			if (shut || result.ok())
				run.set_shut(shut);
		});
	}
	return result;
}

// Maps a run that was shut in all domains. On error it is in none.
Result<void> DomainSet::put_back(const DmaRange &dma, Iova at, const PinRun &run,
				 bool small_pages) const
{
	for (Domain &domain : domains_) {
		const Result<void> mapped = domain.map_run(at, run, dma.prot(), small_pages);

		if (mapped.ok())
			continue;
		for (Domain *earlier = domains_.prev(domain); earlier;
		     earlier = domains_.prev(*earlier))
			Unmapper(earlier->get(), earlier->use()).unmap(run.at(at));
		return mapped;
	}
	return {};
}

} // namespace vfio
