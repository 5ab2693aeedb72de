// SPDX-License-Identifier: GPL-2.0
//
// vfio_combine_iova_ranges(): ranges are joined until there are as few as a device can log, those
// with the smallest gaps first, so that as little as possible is logged in vain.
#include "vfio_core/shim/iova_ranges.h"
#include "entry.h"
#include "vocab/warn.hpp"

namespace vfio {

namespace {

struct Neighbours {
	interval_tree_node *range = nullptr;
	interval_tree_node *next = nullptr;
};

} // namespace

static interval_tree_node *after(rb_root_cached *root, const interval_tree_node *range)
{
	const u64 last = shim_iova_range_last(range);

	return last == ~u64{0} ? nullptr : shim_iova_ranges_after(root, last + 1);
}

// Returns the two ranges with the smallest gap between them, the lowest two of several; none if
// there is one range at most.
static Neighbours closest(rb_root_cached *root)
{
	Neighbours found;
	u64 smallest = ~u64{0};
	interval_tree_node *range = shim_iova_ranges_after(root, 0);

	while (range) {
		interval_tree_node *next = after(root, range);

		if (!next)
			break;

		const u64 gap = shim_iova_range_first(next) - shim_iova_range_last(range);

		if (gap < smallest) {
			smallest = gap;
			found = {range, next};
		}
		range = next;
	}
	return found;
}

CORE_ENTRY void vfio_core_combine_iova_ranges(rb_root_cached *root, u32 count, u32 wanted)
{
	for (; count > wanted; --count) {
		const Neighbours two = closest(root);

		if (WARN_ONCE_IF(!two.range, "no two ranges of IOVAs to combine"))
			return;
		shim_iova_ranges_join(root, two.range, two.next);
	}
}

} // namespace vfio
