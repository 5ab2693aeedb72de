// SPDX-License-Identifier: GPL-2.0
//
// ExternalPins: the pages of one mapping that devices behind an emulated IOMMU
// have pinned by vfio_pin_pages(), each with its pfn and a count. They are in a
// PinIndex, which exists while there is at least one; a page's mark there is its
// PinKind. Pages are named by their index in the mapping, from 0 on.
//
// The record pins and unpins nothing itself. A caller pins pages before it adds
// them and unpins them after they have left the record, both without the
// container's lock, which guards all of this.
#pragma once

#include "dma/shim/pin.h"
#include "pin_index/pin_index.hpp"
#include "pin_runs.hpp"
#include "vocab/memory.hpp"
#include "vocab/page_array.hpp"

namespace vfio {

// Pages of a mapping that are being pinned for a device and are not recorded yet.
struct ExternalPages {
	// Unless the pages are a run, their pfns and kinds take the place of their
	// handles in the array until to_handles().
	PinPage *pages() const
	{
		return reinterpret_cast<PinPage *>(handles);
	}

	// Writes the handles again, which the device's driver gets.
	void to_handles()
	{
		if (!run)
			shim_pages_of(&handles->value, npages);
	}

	Iova first;
	u64 npages;
	// The array of the caller of vfio_pin_pages().
	PageHandle *handles;
	// Whether the pages are contiguous and of one kind; then run_first is the
	// first of them.
	bool run = false;
	PinPage run_first = {};
	// How many of the pages are charged to the owner.
	u64 counted = 0;
};

class ExternalPins : Immovable {
public:
	// Devices unpin all pages before they are closed. What a faulty driver
	// left is unpinned here and marked dirty if the mapping is writable.
	void release_all(bool writable);

	bool empty() const
	{
		return !index_;
	}

	// How many recorded pages are of kind kCounted: in all, or among npages
	// pages from first on.
	u64 counted() const
	{
		return counted_;
	}

	u64 counted_in(u64 first, u64 npages) const;

	// Counts one more pin of each recorded page from first on, up to the
	// first page that is not recorded, npages at most. Returns how many pages
	// that were and writes them to pages. Errors: EOVERFLOW, ENOMEM; no count
	// has changed then.
	Result<u64> pin_again(u64 first, u64 npages, PinPage *pages)
	{
		return index_ ? index_->pin_again(first, npages, pages) : u64{0};
	}

	// How many of npages pages are not recorded, from first on.
	u64 absent_from(u64 first, u64 npages) const
	{
		return index_ ? index_->absent_from(first, npages) : npages;
	}

	// Records pages; first is the index in the mapping of the first of them.
	// Errors: EEXIST if one is recorded already, ENOMEM; none is added then.
	Result<void> add(u64 first, const ExternalPages &pages);

	// Takes back one pin of each of npages pages that is recorded. Pages
	// without any more pins leave the record and are appended to gone,
	// which is empty before. Returns how many of npages it went through:
	// fewer if gone is full.
	u64 unpin(u64 first, u64 npages, UnpinnedPages &gone);

	// Calls visit(run) for recorded pages of [first, last], in order.
	template <class F> void for_each(u64 first, u64 last, F visit) const
	{
		if (index_)
			index_->for_each(first, last, visit);
	}

	// Unpins pages that are not recorded, or have left the record.
	static void release(PinPage first, u64 npages, bool dirty);
	static void release(const UnpinnedPages &gone, bool dirty);
	static void release(const ExternalPages &pages, bool dirty);

private:
	static PinKind kind_of(PinPage page)
	{
		return static_cast<PinKind>(page.mark());
	}

	UniquePtr<PinIndex> index_;
	u64 counted_ = 0;
};

} // namespace vfio
