// SPDX-License-Identifier: GPL-2.0
//
// PageArray: room for as many page handles or addresses as a page of memory
// holds, for one batch of a longer work.
#pragma once

#include "shim/alloc.h"
#include "vocab/units.hpp"

namespace vfio {

// Room for a number of pages: a page of memory if they are several, and there
// is one; room for a single one at least.
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
