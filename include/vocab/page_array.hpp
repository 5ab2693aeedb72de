// SPDX-License-Identifier: GPL-2.0
//
// PageArray: an array with an entry for each page, for work on many pages that is done
// in batches. PageHandle: a page as the kernel's drivers name it.
#pragma once

#include "shim/alloc.h"
#include "vocab/units.hpp"

namespace vfio {

// A struct page pointer, which C++ does not follow.
struct PageHandle {
	u64 value;
};

// For one page the array has a single entry. For several it fills a page of memory;
// if that cannot be allocated it has a single entry too, so that creating one never
// fails.
template <class T> class PageArray : Immovable {
public:
	explicit PageArray(u64 npages)
	{
		if (npages == 1)
			return;
		page_ = static_cast<T *>(shim_alloc_page());
		if (page_) {
			entries_ = page_;
			room_ = kPageSize / sizeof(T);
		}
	}

	~PageArray()
	{
		if (page_)
			shim_free_page(page_);
	}

	T *entries()
	{
		return entries_;
	}

	u64 room() const
	{
		return room_;
	}

private:
	T single_ = {};
	T *page_ = nullptr;
	T *entries_ = &single_;
	u64 room_ = 1;
};

} // namespace vfio
