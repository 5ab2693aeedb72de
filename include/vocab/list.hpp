// SPDX-License-Identifier: GPL-2.0
//
// An intrusive, circular, doubly linked list. An element is on at most one
// list for each ListNode base, and must leave that list before it is destroyed.
// Nothing allocates; insert and remove are O(1).
#pragma once

#include "vocab/utility.hpp"

namespace vfio {

// The base that makes a class listable. A class that is on several lists has
// a base for each, told apart by their tags.
template <class Tag> class ListNode : Immovable {
public:
	bool linked() const
	{
		return next_ != nullptr;
	}

private:
	template <class T, class U> friend class List;

	ListNode *next_ = nullptr;
	ListNode *prev_ = nullptr;
};

template <class T, class Tag = T> class List : Immovable {
	using Node = ListNode<Tag>;

public:
	// Walks over nodes, not elements: the list's own node is the end, so that a step
	// is one load and one comparison.
	class Iterator {
	public:
		explicit Iterator(const Node *node) : node_(node)
		{
		}

		T &operator*() const
		{
			return *element_of(node_);
		}

		Iterator &operator++()
		{
			node_ = node_->next_;
			return *this;
		}

		bool operator==(const Iterator &) const = default;

	private:
		const Node *node_;
	};

	List()
	{
		head_.next_ = &head_;
		head_.prev_ = &head_;
	}

	bool empty() const
	{
		return head_.next_ == &head_;
	}

	bool singular() const
	{
		return !empty() && head_.next_ == head_.prev_;
	}

	void push_front(T &element)
	{
		link(element, head_, *head_.next_);
	}

	void push_back(T &element)
	{
		link(element, *head_.prev_, head_);
	}

	// Puts element right before position, which is on the list.
	void insert_before(T &position, T &element)
	{
		link(element, *static_cast<Node &>(position).prev_, position);
	}

	void remove(T &element)
	{
		Node &node = element;

		node.prev_->next_ = node.next_;
		node.next_->prev_ = node.prev_;
		node.next_ = nullptr;
		node.prev_ = nullptr;
	}

	T *front() const
	{
		return at(head_.next_);
	}

	T *back() const
	{
		return at(head_.prev_);
	}

	T *next(const T &element) const
	{
		return at(static_cast<const Node &>(element).next_);
	}

	T *prev(const T &element) const
	{
		return at(static_cast<const Node &>(element).prev_);
	}

	T *pop_front()
	{
		T *element = front();

		if (element)
			remove(*element);
		return element;
	}

	void clear()
	{
		while (pop_front())
			;
	}

	// Exchanges all elements of two lists.
	void swap(List &other)
	{
		List spare;

		spare.take_all(*this);
		take_all(other);
		other.take_all(spare);
	}

	// Moves all of other's elements to the end of this list.
	void take_all(List &other)
	{
		while (T *element = other.pop_front())
			push_back(*element);
	}

	// The element under the iterator must not leave the list.
	Iterator begin() const
	{
		return Iterator(head_.next_);
	}

	Iterator end() const
	{
		return Iterator(&head_);
	}

private:
	static void link(Node &node, Node &prev, Node &next)
	{
		node.prev_ = &prev;
		node.next_ = &next;
		prev.next_ = &node;
		next.prev_ = &node;
	}

	// A cast from a base tests for null. g++ drops that test, and the caller's test of
	// the element, if it is told that neither is null.
	static T *element_of(const Node *node)
	{
		T *element = static_cast<T *>(const_cast<Node *>(node));

		if (!node || !element)
			__builtin_unreachable();
		return element;
	}

	T *at(const Node *node) const
	{
		return node == &head_ ? nullptr : element_of(node);
	}

	Node head_;
};

} // namespace vfio
