// SPDX-License-Identifier: GPL-2.0
//
// IovaSpace: the addresses that every hardware domain of a container can
// translate and no group has reserved: the intersection of the apertures less
// the union of the reserved regions, as windows in ascending order that do
// not touch. Without hardware domains it is unbounded: no window at all, and
// all is valid.
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

	// Nothing is known to be out of bounds.
	bool unbounded() const
	{
		return windows_.empty();
	}

	bool valid(IovaRange range) const;

	// From the first address of the first window to the last of the last;
	// all addresses if unbounded.
	IovaRange span() const;

	// Keeps only what is inside aperture too. Errors: ENOMEM.
	Result<void> restrict_to(IovaRange aperture);

	// Takes a reserved region out. Errors: ENOMEM, EINVAL if none is left.
	Result<void> exclude(IovaRange region);

	// A copy of from in this space, which is unbounded. Errors: ENOMEM.
	Result<void> copy(const IovaSpace &from);

	void swap(IovaSpace &other)
	{
		windows_.swap(other.windows_);
	}

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
