// SPDX-License-Identifier: GPL-2.0
//
// RangeTree: an intrusive, balanced (AVL) tree of ranges that do not overlap,
// in the order of their addresses. T derives from RangeNode<T> and has a
// method range() that returns its Range<A>, constant while it is in the tree.
//
// Insert, erase and every search are O(log n); nothing allocates. Heights of
// the two sides of any node differ by at most one.
#pragma once

#include "vocab/units.hpp"

namespace vfio {

template <class Tag> class RangeNode : Immovable {
	template <class, class> friend class RangeTree;
	template <class, class> friend struct RangeTreeCheck;

	RangeNode *parent_ = nullptr;
	RangeNode *child_[2] = {nullptr, nullptr};
	int height_ = 0;
};

template <class T, class A = Iova> class RangeTree : Immovable {
	using Node = RangeNode<T>;
	enum Side { kLeft, kRight };

public:
	class Iterator {
	public:
		Iterator(const RangeTree &tree, T *element) : tree_(tree), element_(element)
		{
		}

		T &operator*() const
		{
			return *element_;
		}

		Iterator &operator++()
		{
			element_ = tree_.next(*element_);
			return *this;
		}

		bool operator!=(const Iterator &other) const
		{
			return element_ != other.element_;
		}

	private:
		const RangeTree &tree_;
		T *element_;
	};

	bool empty() const
	{
		return root_ == nullptr;
	}

	u64 size() const
	{
		return size_;
	}

	// Removes all elements at once. They may only be destroyed or inserted again.
	void clear()
	{
		root_ = nullptr;
		size_ = 0;
	}

	// Returns false and does nothing if element overlaps one that is in the tree.
	bool insert(T &element)
	{
		const Range<A> range = element.range();
		Node *parent = nullptr;
		Side side = kLeft;

		for (Node *next = root_; next; next = parent->child_[side]) {
			const Range<A> there = at(next)->range();

			parent = next;
			if (range.last < there.first)
				side = kLeft;
			else if (there.last < range.first)
				side = kRight;
			else
				return false;
		}

		Node &node = element;
		node.parent_ = parent;
		node.child_[kLeft] = node.child_[kRight] = nullptr;
		node.height_ = 1;
		(parent ? parent->child_[side] : root_) = &node;
		size_++;
		rebalance_above(&node);
		return true;
	}

	void erase(T &element)
	{
		Node &node = element;

		if (node.child_[kLeft] && node.child_[kRight])
			swap_with_next(node);

		Node *child = node.child_[kLeft] ? node.child_[kLeft] : node.child_[kRight];
		Node *parent = node.parent_;

		if (child)
			child->parent_ = parent;
		link_of(node) = child;
		size_--;
		rebalance(parent);
		node.parent_ = node.child_[kLeft] = node.child_[kRight] = nullptr;
		node.height_ = 0;
	}

	// Returns the element whose range contains address, or nullptr.
	T *find(A address) const
	{
		for (Node *node = root_; node;) {
			const Range<A> there = at(node)->range();

			if (address < there.first)
				node = node->child_[kLeft];
			else if (there.last < address)
				node = node->child_[kRight];
			else
				return at(node);
		}
		return nullptr;
	}

	// The first element that has an address inside range.
	T *first_in(Range<A> range) const
	{
		T *element = first_from(range.first);

		return element && element->range().first <= range.last ? element : nullptr;
	}

	// The first element that ends at address or later.
	T *first_from(A address) const
	{
		T *best = nullptr;

		for (Node *node = root_; node;) {
			T *element = at(node);

			if (element->range().last < address) {
				node = node->child_[kRight];
			} else {
				best = element;
				node = node->child_[kLeft];
			}
		}
		return best;
	}

	T *first() const
	{
		return root_ ? at(outermost(root_, kLeft)) : nullptr;
	}

	T *next(const T &element) const
	{
		return neighbour(element, kRight);
	}

	T *prev(const T &element) const
	{
		return neighbour(element, kLeft);
	}

	// The element under the iterator must not leave the tree.
	Iterator begin() const
	{
		return {*this, first()};
	}

	Iterator end() const
	{
		return {*this, nullptr};
	}

private:
	template <class, class> friend struct RangeTreeCheck;

	static T *at(Node *node)
	{
		return static_cast<T *>(node);
	}

	static int height(const Node *node)
	{
		return node ? node->height_ : 0;
	}

	static Side other(Side side)
	{
		return side == kLeft ? kRight : kLeft;
	}

	static Node *outermost(Node *node, Side side)
	{
		while (node->child_[side])
			node = node->child_[side];
		return node;
	}

	static T *neighbour(const T &element, Side side)
	{
		const Node *node = &static_cast<const Node &>(element);

		if (node->child_[side])
			return at(outermost(node->child_[side], other(side)));

		Node *parent = node->parent_;
		while (parent && parent->child_[side] == node) {
			node = parent;
			parent = parent->parent_;
		}
		return parent ? at(parent) : nullptr;
	}

	Node *&link_of(Node &node)
	{
		if (!node.parent_)
			return root_;
		return node.parent_->child_[node.parent_->child_[kLeft] == &node ? kLeft : kRight];
	}

	static void set_child(Node &parent, Side side, Node *child)
	{
		parent.child_[side] = child;
		if (child)
			child->parent_ = &parent;
	}

	static void update_height(Node &node)
	{
		node.height_ = 1 + max(height(node.child_[kLeft]), height(node.child_[kRight]));
	}

	// Lifts the child on side above node; returns the child.
	Node *rotate(Node &node, Side side)
	{
		Node *child = node.child_[side];

		link_of(node) = child;
		child->parent_ = node.parent_;
		set_child(node, side, child->child_[other(side)]);
		set_child(*child, other(side), &node);
		update_height(node);
		update_height(*child);
		return child;
	}

	// Restores the balance after the subtree of node has become higher by one.
	void rebalance_above(Node *node)
	{
		for (Node *parent; (parent = node->parent_) != nullptr; node = parent) {
			if (parent->height_ > node->height_)
				return;

			const Side deep = parent->child_[kLeft] == node ? kLeft : kRight;

			if (height(parent->child_[other(deep)]) + 1 < node->height_) {
				// The subtree is then as high as it was before.
				straighten(*parent, deep);
				return;
			}
			parent->height_ = node->height_ + 1;
		}
	}

	// Rotates the side of node that is too deep; returns the node that takes
	// the place of node.
	Node *straighten(Node &node, Side deep)
	{
		Node *child = node.child_[deep];

		if (height(child->child_[other(deep)]) > height(child->child_[deep]))
			rotate(*child, other(deep));
		return rotate(node, deep);
	}

	// Restores heights and balance from node up, after an erase below it.
	void rebalance(Node *node)
	{
		while (node) {
			const int before = node->height_;
			const int left = height(node->child_[kLeft]);
			const int right = height(node->child_[kRight]);

			if (left > right + 1 || right > left + 1) {
				node = straighten(*node, left > right ? kLeft : kRight);
			} else {
				update_height(*node);
			}
			if (node->height_ == before)
				return;
			node = node->parent_;
		}
	}

	// Swaps node, which has two children, with its successor.
	void swap_with_next(Node &node)
	{
		Node *next = outermost(node.child_[kRight], kLeft);
		Node *next_right = next->child_[kRight];
		Node *next_parent = next->parent_;

		link_of(node) = next;
		next->parent_ = node.parent_;
		next->height_ = node.height_;
		set_child(*next, kLeft, node.child_[kLeft]);
		if (next_parent == &node) {
			set_child(*next, kRight, &node);
		} else {
			set_child(*next, kRight, node.child_[kRight]);
			set_child(*next_parent, kLeft, &node);
		}
		node.child_[kLeft] = nullptr;
		set_child(node, kRight, next_right);
	}

	Node *root_ = nullptr;
	u64 size_ = 0;
};

} // namespace vfio
