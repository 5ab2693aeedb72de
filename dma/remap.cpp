// SPDX-License-Identifier: GPL-2.0
//
// DomainSet's work for drivers that let devices reach other pages than those that a user has mapped
// (vfio_cxx/iommu_extension.h). The owner's pages stay pinned as long as the mapping is there, and are
// what is charged; the others belong to the driver, and are neither pinned nor unpinned here.
//
// A mapping of which a page was remapped has a record of what is mapped at each page, and is in
// borrowing_, so that it is found without DmaTree's lock, which others hold while they pin: from then
// on it is mapped and unmapped under borrowed_lock_.
#include "domain_set.hpp"

namespace vfio {

namespace {

// How many pages are taken out together, at the most, before others get the lock.
constexpr u64 kMost = 64;

bool is_users_page(const vfio_remap_page &page)
{
	return page.phys == VFIO_REMAP_USERS_PAGE;
}

Pfn pfn_of(const vfio_remap_page &page)
{
	return {page.phys >> kPageShift};
}

// Whether one of the pages has no struct page.
bool any_without_page(const vfio_remap_page *pages, u64 count)
{
	for (u64 i = 0; i < count; i++)
		if (!is_users_page(pages[i]) && !shim_pfn_has_page(pfn_of(pages[i]).value))
			return true;
	return false;
}

// Whether the addresses are those of pages.
bool valid(const vfio_remap_page &page)
{
	return !(page.iova & ~kPageMask) && (is_users_page(page) || !(page.phys & ~kPageMask));
}

// Returns the page that is asked for at an index. borrows: whether it may have no struct page.
PinPage wanted(const DmaRange &dma, u64 index, const vfio_remap_page &page, const MapPolicy &policy,
	       bool borrows)
{
	const bool borrowed =
		borrows && !is_users_page(page) && !shim_pfn_has_page(pfn_of(page).value);
	PinRun run =
		is_users_page(page) ?
			PinRun(dma.remapped->own(index), 1) :
			PinRun(pfn_of(page), 1, borrowed ? PinKind::kBorrowed : PinKind::kCounted);

	if (policy.borrow && run.borrowed())
		run.set_shut(policy.borrow->shut(*policy.borrow, run.first(), 1));
	return run.first_page();
}

} // namespace

Result<u64> DomainSet::remap(DmaTree &dmas, const vfio_remap_page *pages, u64 count,
			     const MapPolicy &policy) const
{
	const bool borrows = any_without_page(pages, count);
	u64 done = 0;

	if (borrows && policy.borrow)
		TRY(policy.borrow->begin(*policy.borrow));
	while (done < count) {
		Result<u64> some = remap_some(dmas, pages + done, count - done, policy, borrows);

		if (!some.ok()) {
			if (done)
				break;
			return some.error();
		}
		done += some.value();
	}
	return done;
}

// Remaps pages that one mapping has. Returns how many, 1 at least.
Result<u64> DomainSet::remap_some(DmaTree &dmas, const vfio_remap_page *pages, u64 count,
				  const MapPolicy &policy, bool borrows) const
{
	if (!valid(*pages))
		return Error(EINVAL);
	for (bool begun = false;; begun = true) {
		{
			const Guard guard(borrowed_lock_);
			DmaRange *dma = remapped_at({pages->iova});

			if (dma) [[likely]]
				return remap_in(*dma, pages, count, policy, borrows);
		}
		// It may have been unmapped since.
		if (begun)
			return Error(EAGAIN);
		TRY(begin_remapping(dmas, {pages->iova}));
	}
}

DmaRange *DomainSet::remapped_at(Iova iova) const
{
	for (DmaRange &dma : borrowing_)
		if (dma.remapped && dma.range().contains(iova))
			return &dma;
	return nullptr;
}

// Makes the record of the mapping that has the address.
Result<void> DomainSet::begin_remapping(DmaTree &dmas, Iova iova) const
{
	// Others may hold it while they wait for userspace, whose pages they pin.
	if (!dmas.lock.try_take())
		return Error(EAGAIN);

	const Guard guard(dmas.lock, AlreadyTaken{});
	DmaRange *dma = dmas.find(iova);

	if (!dma)
		return Error(EINVAL);
	if (dma->busy.load())
		return Error(EAGAIN);
	if (!dma->iommu_mapped)
		return Error(EINVAL);

	// The record begins with what is shut, which update_borrowed() changes under this lock.
	const Guard borrowed(borrowed_lock_);

	if (dma->remapped)
		return {};
	dma->remapped = TRY(RemappedPages::create(dma->pins, dma->range().npages()));
	if (dma->ListNode<Borrowing>::linked())
		borrowing_.remove(*dma);
	borrowing_.push_front(*dma);
	has_borrowed_.store(true);
	return {};
}

// Remaps those of the first pages that follow each other in a mapping: all, or none.
Result<u64> DomainSet::remap_in(DmaRange &dma, const vfio_remap_page *pages, u64 count,
				const MapPolicy &policy, bool borrows) const
{
	const Iova at{pages->iova};
	const u64 first = dma.page_index(at);
	const u64 most = min(min(count, kMost), dma.npages_from(at));
	PinPage others[kMost];
	u64 n = 0;

	for (; n < most && pages[n].iova == pages->iova + n * kPageSize && valid(pages[n]); n++)
		others[n] = wanted(dma, first + n, pages[n], policy, borrows);
	dma.has_borrowed |= borrows;

	RemappedPages::Span span;
	const Result<void> mapped = exchange_pages(dma, first, others, n, policy, span);

	if (mapped.ok()) [[likely]]
		return n;
	dma.remapped->exchange(first, others, n, span.last);
	if (!map_pages(dma, span, policy.small_pages).ok())
		dma.remapped->set_shut(span);
	return mapped.error();
}

// Exchanges pages, in the record and in the domains, and stores in span which pages were mapped anew.
// On error the record has the new pages, and no domain any of span.
Result<void> DomainSet::exchange_pages(DmaRange &dma, u64 first, PinPage *pages, u64 count,
				       const MapPolicy &policy, RemappedPages::Span &span) const
{
	span = dma.remapped->pieces({first, first + count - 1}, dma.range().npages());
	for (Domain &domain : domains_)
		domain.unmap_pages(dma, span);
	dma.remapped->exchange(first, pages, count, span.last);
	return map_pages(dma, span, policy.small_pages);
}

void DomainSet::put_users_back(DmaRange &dma, const MapPolicy &policy) const
{
	const u64 npages = dma.range().npages();

	for (u64 at = 0; at < npages;) {
		PinPage users[kMost];
		RemappedPages::Span span;
		u64 n = 0;

		for (; n < kMost && at + n < npages && dma.remapped->replaced(at + n); n++)
			users[n] = wanted(dma, at + n, {0, VFIO_REMAP_USERS_PAGE}, policy, true);
		if (n && !exchange_pages(dma, at, users, n, policy, span).ok())
			dma.remapped->set_shut(span);
		at += max(n, u64{1});
	}
}

void DomainSet::put_all_users_back(const MapPolicy &policy) const
{
	const Guard guard(borrowed_lock_);

	for (DmaRange &dma : borrowing_)
		if (dma.remapped)
			put_users_back(dma, policy);
	for (Domain &domain : domains_)
		domain.flush_remapped();
}

// Maps pages in all domains, or in none.
Result<void> DomainSet::map_pages(const DmaRange &dma, RemappedPages::Span span,
				  bool small_pages) const
{
	for (Domain &domain : domains_) {
		const Result<void> mapped = domain.map_pages(dma, span, small_pages);

		if (mapped.ok()) [[likely]]
			continue;
		for (Domain *earlier = domains_.prev(domain); earlier;
		     earlier = domains_.prev(*earlier))
			earlier->unmap_pages(dma, span);
		return mapped;
	}
	return {};
}

void DomainSet::flush_remapped() const
{
	const Guard guard(borrowed_lock_);

	for (Domain &domain : domains_)
		domain.flush_remapped();
}

} // namespace vfio
