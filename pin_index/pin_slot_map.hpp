// SPDX-License-Identifier: GPL-2.0
//
// SlotMap: what a pin index keeps of each slot that has a pin in it, in the
// order of slots: a B+ tree whose records are 16 bytes. A slot is 512 pages.
//
// Nodes are 1 KiB, but a root without children grows from 32 bytes on. A full
// leaf first gives to its neighbours and splits only if they are full too; at
// the ends of a node the split is uneven, so that slots that come in order
// leave full nodes behind. All leaves are equally deep. Find is O(log slots).
//
// Inserting allocates before it changes anything that is seen; erasing never
// allocates: it merges a node that has become small with a neighbour, and
// frees one.
#pragma once

#include "vocab/memory.hpp"

namespace vfio {

constexpr unsigned int kPinSlotShift = 9;
constexpr u32 kPinSlotPages = 1U << kPinSlotShift;

struct SlotRecord {
	static constexpr unsigned int kMetaBits = 21;
	static constexpr u64 kMetaMask = (u64{1} << kMetaBits) - 1;

	u64 slot() const
	{
		return key >> kMetaBits;
	}

	// The offset of the slot's first page.
	u64 first_offset() const
	{
		return slot() << kPinSlotShift;
	}

	u64 meta() const
	{
		return key & kMetaMask;
	}

	void set_meta(u64 meta)
	{
		key = (key & ~kMetaMask) | meta;
	}

	// The slot, above bits that are the user's.
	u64 key;
	u64 value;
};

class SlotMap : Immovable {
public:
	static constexpr u64 kLastSlot = (u64{1} << (64 - SlotRecord::kMetaBits)) - 1;

	// The user has cleared it.
	~SlotMap()
	{
		WARN_ONCE_IF(root_, "pin index freed with pins in it");
	}

	bool empty() const
	{
		return !root_;
	}

	// All pointers to records hold until the next insert or erase.
	SlotRecord *find(u64 slot) const
	{
		return recent_slot_ == slot ? recent_ : search(slot);
	}

	// The same for who may also change the map: the next search for the
	// same slot is short.
	SlotRecord *find_and_note(u64 slot)
	{
		return recent_slot_ == slot ? recent_ : search_and_note(slot);
	}

	// The first record of slot or later.
	SlotRecord *first_from(u64 slot) const;

	// A record without meta and value for a slot that has none.
	// Errors: ENOMEM.
	Result<SlotRecord *> insert(u64 slot);

	// Of a slot that has a record.
	void erase(u64 slot);

	// Frees all nodes. What the values stand for is the caller's.
	void clear();

	// What the nodes take.
	u64 bytes() const
	{
		return bytes_;
	}

	// For tests: order, depth and fill, or false.
	bool invariants_hold() const;

private:
	struct Node {
		u16 count;
		u16 capacity;
		u32 unused;
		// In order; unused ones, behind, have kNoKey, so that a search
		// goes by capacity. An inner node has its children as values,
		// and as keys the least that each may hold; the first's counts
		// as 0.
		SlotRecord entries[];
	};

	// The way down to a leaf: at[level] is the entry taken there. Leaves
	// are level 0.
	struct Path;

	static constexpr u64 kNoKey = ~u64{0};
	static constexpr u32 kSmallestNode = 32;
	static constexpr u32 kNodeSize = 1024;
	// One record fewer than would fit without the node's counts.
	static constexpr u32 kFull = kNodeSize / sizeof(SlotRecord) - 1;
	// With no more a leaf or a node below the root is merged, if it can be.
	static constexpr u32 kFewest = kFull / 4;
	static constexpr u32 kMaxHeight = 16;

	static u32 size_of(const Node &node)
	{
		return (node.capacity + 1) * u32{sizeof(SlotRecord)};
	}

	static Node *child(const SlotRecord &entry)
	{
		return reinterpret_cast<Node *>(entry.value);
	}

	static u32 up_to(const Node &node, u64 slot);
	static u32 before(const Node &node, u64 slot);
	static u32 child_for(const Node &node, u64 slot);
	static void clear_keys(Node &node, u32 at, u32 count);
	static SlotRecord *open_gap(Node &node, u32 at);
	static void close_gap(Node &node, u32 at);
	static void move_entries(Node &from, u32 at, Node &to, u32 to_at, u32 count);
	static u32 split_point(const Node &node, u32 at);
	static bool check(const Node &node, u32 level, u64 least, u64 most);

	void note(Node *leaf, SlotRecord *record, u64 slot)
	{
		recent_leaf_ = leaf;
		recent_ = record;
		recent_slot_ = slot;
	}

	void forget_recent()
	{
		note(nullptr, nullptr, ~u64{0});
	}

	Node *leaf_of(u64 slot) const;
	static SlotRecord *search(Node &leaf, u64 slot);
	SlotRecord *search(u64 slot) const;
	SlotRecord *search_and_note(u64 slot);
	void erase_and_merge(u64 slot);
	Node *new_node(u32 size);
	void free_node(Node *node);
	void free_below(Node *node, u32 level);
	Result<void> grow_root();
	Result<void> raise_root();
	Result<void> split(Node &parent, u32 at, u32 keep);
	bool give_to_neighbour(Node &parent, u32 at);
	bool merge(Node &parent, u32 at, bool inner);
	void lower_root();

	Node *root_ = nullptr;
	// The record found last, or null, its leaf, and its slot; or no slot.
	SlotRecord *recent_ = nullptr;
	Node *recent_leaf_ = nullptr;
	u64 recent_slot_ = ~u64{0};
	u64 bytes_ = 0;
	// Levels of inner nodes.
	u32 height_ = 0;
};

static_assert(sizeof(SlotRecord) == 16);

} // namespace vfio
