/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ranges of IOVAs as drivers get them for DMA logging: an interval tree of the kernel's, whose
 * ranges do not overlap. Nothing here sleeps.
 */
#ifndef SHIM_IOVA_RANGES_H
#define SHIM_IOVA_RANGES_H

#include "shim/base.h"

struct interval_tree_node;
struct rb_root_cached;

SHIM_BEGIN

/**
 * shim_iova_ranges_after() - the lowest range that begins at or after an IOVA
 * @root: the tree
 * @first: where to look from
 *
 * Return: the range, or NULL.
 */
struct interval_tree_node *shim_iova_ranges_after(struct rb_root_cached *root,
						  u64 first);

/**
 * shim_iova_range_first() - the first address of a range
 * @range: the range
 */
u64 shim_iova_range_first(const struct interval_tree_node *range);

/**
 * shim_iova_range_last() - the last address of a range
 * @range: the range
 */
u64 shim_iova_range_last(const struct interval_tree_node *range);

/**
 * shim_iova_ranges_join() - make one range of two
 * @root: the tree
 * @range: the lower one, which is made to end where the other one ends
 * @next: the one after it, which leaves the tree; its memory stays the driver's
 */
void shim_iova_ranges_join(struct rb_root_cached *root,
			   struct interval_tree_node *range,
			   struct interval_tree_node *next);

SHIM_END

#endif
