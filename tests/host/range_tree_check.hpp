// SPDX-License-Identifier: GPL-2.0
//
// Checks what must always be true of a RangeTree: order, links and balance.
#pragma once

#include "vocab/range_tree.hpp"

namespace vfio {

template <class T, class A> struct RangeTreeCheck {
	using Node = RangeNode<T>;

	static bool holds(const RangeTree<T, A> &tree)
	{
		return check(tree.root_, nullptr) >= 0;
	}

	static A first(Node *node)
	{
		return static_cast<T *>(node)->range().first;
	}

	static A last(Node *node)
	{
		return static_cast<T *>(node)->range().last;
	}

	// Returns the height of the part below node, or -1 if an invariant is broken.
	static int check(Node *node, Node *parent)
	{
		if (!node)
			return 0;
		if (node->parent_ != parent)
			return -1;

		Node *const left = node->child_[0];
		Node *const right = node->child_[1];
		const int low = check(left, node);
		const int high = check(right, node);

		if (low < 0 || high < 0 || low > high + 1 || high > low + 1)
			return -1;
		if (node->height_ != 1 + max(low, high))
			return -1;
		if ((left && last(left) >= first(node)) || (right && first(right) <= last(node)))
			return -1;
		return node->height_;
	}
};

template <class T, class A> bool invariants_hold(const RangeTree<T, A> &tree)
{
	return RangeTreeCheck<T, A>::holds(tree);
}

} // namespace vfio
