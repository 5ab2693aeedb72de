// SPDX-License-Identifier: GPL-2.0
//
// IovaSpace: the addresses that may be mapped: those that every domain can translate,
// less those that a group has reserved. They are stored as windows, in ascending
// order, no two of them adjacent. A space without windows is unbounded: without
// domains all addresses may be mapped.
#pragma once

#include "vocab/list.hpp"
#include "vocab/memory.hpp"
#include "vocab/units.hpp"

namespace vfio {

class IovaSpace : Immovable {
public:
	~IovaSpace()
	{
		clear();
	}

	bool unbounded() const
	{
		return windows_.empty();
	}

	bool valid(IovaRange range) const;

	// The smallest range that contains all windows; all addresses if unbounded.
	IovaRange span() const;

	// Removes what is outside aperture. Errors: ENOMEM.
	Result<void> restrict_to(IovaRange aperture);

	// Removes a reserved region. Errors: ENOMEM, EINVAL if nothing is left.
	Result<void> exclude(IovaRange region);

	// Copies from into this space, which is unbounded before. Errors: ENOMEM.
	Result<void> copy(const IovaSpace &from);

	void swap(IovaSpace &other)
	{
		windows_.swap(other.windows_);
	}

	// How many windows there are.
	u32 count() const;

	// Calls visit(window) in ascending order.
	template <class F> void each(F visit) const
	{
		for (const Window &window : windows_)
			visit(window.range);
	}

private:
	struct Window : ListNode<Window> {
		explicit Window(IovaRange range) : range(range)
		{
		}

		IovaRange range;
	};

	Result<void> push_back(IovaRange range);
	void drop(Window &window);
	void clear();

	List<Window> windows_;
};

} // namespace vfio
