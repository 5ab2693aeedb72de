// SPDX-License-Identifier: GPL-2.0
#include <linux/interval_tree.h>
#include <linux/limits.h>

#include "vfio_core/shim/iova_ranges.h"

struct interval_tree_node *shim_iova_ranges_after(struct rb_root_cached *root,
						  u64 first)
{
	return interval_tree_iter_first(root, first, ULONG_MAX);
}

u64 shim_iova_range_first(const struct interval_tree_node *range)
{
	return range->start;
}

u64 shim_iova_range_last(const struct interval_tree_node *range)
{
	return range->last;
}

void shim_iova_ranges_join(struct rb_root_cached *root,
			   struct interval_tree_node *range,
			   struct interval_tree_node *next)
{
	unsigned long last = next->last;

	interval_tree_remove(next, root);
	/* The tree knows where the ranges below each node end: it is told of a new end. */
	interval_tree_remove(range, root);
	range->last = last;
	interval_tree_insert(range, root);
}
