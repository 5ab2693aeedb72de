// SPDX-License-Identifier: GPL-2.0
//
// PageArray: an array of page handles or addresses, for work on many pages that
// is done in batches.
#pragma once

#include "shim/alloc.h"
#include "vocab/units.hpp"

namespace vfio {

// For one page the array has a single entry. For several it fills a page of memory;
// if that cannot be allocated it has a single entry too, so that creating one never
// fails.
class PageArray : Immovable {
public:
	explicit PageArray(u64 npages)
	{
		if (npages == 1)
			return;
		page_ = static_cast<u64 *>(shim_alloc_page());
		if (page_) {
			pages_ = page_;
			room_ = kPageSize / sizeof(u64);
		}
	}

	~PageArray()
	{
		if (page_)
			shim_free_page(page_);
	}

	u64 *pages()
	{
		return pages_;
	}

	u64 room() const
	{
		return room_;
	}

private:
	u64 single_ = 0;
	u64 *page_ = nullptr;
	u64 *pages_ = &single_;
	u64 room_ = 1;
};

} // namespace vfio
