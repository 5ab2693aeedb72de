// SPDX-License-Identifier: GPL-2.0
//
// SlotMap: one record for each slot that has pinned pages, in a B+ tree in the order
// of slots. A slot is 512 pages of a pin index; its record is 16 bytes.
//
// All leaves are at the same depth. Nodes are 1 KiB, except a root that is a leaf:
// first_ for one record, or a node of 64 bytes or more, which doubles. A full leaf moves records to a neighbour and
// splits only if the neighbours are full too. A node that is full when a record comes
// at its end or its beginning is not split in the middle: slots that are inserted in
// order leave full nodes behind.
//
// insert() allocates before it changes the map. erase() allocates nothing: it merges
// nodes that have few records with a neighbour.
#pragma once

#include "pin_reserve.hpp"
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

	// The slot number, and below it kMetaBits bits for the user of the map.
	u64 key;
	u64 value;
};

class SlotMap : Immovable {
	struct Node {
		u16 count;
		u16 capacity;
		u32 unused;
		// In order. The value of an inner node's entry is a child, and its key
		// the least that the child may hold; the key of the first is not used.
		SlotRecord entries[];
	};

public:
	// Where the record of a slot is, or would be.
	struct Spot {
		// Null if the slot has no record.
		SlotRecord *record = nullptr;
		// Null if the map is empty.
		Node *leaf = nullptr;
	};

	static constexpr u64 kLastSlot = (u64{1} << (64 - SlotRecord::kMetaBits)) - 1;

	// The owner has cleared the map.
	~SlotMap()
	{
		WARN_ONCE_IF(root_, "pin index freed with pins in it");
	}

	// Pointers to records, and spots, are valid until the next insert() or erase().
	Spot find(u64 slot) const
	{
		Node *leaf = height_ ? leaf_for(slot) : root_;

		if (!leaf)
			return {};

		// If no slot is missing between the leaf's first record and the slot,
		// the slot's number tells the position of its record.
		const u64 guess = slot - leaf->entries[0].slot();
		if (guess < leaf->count && leaf->entries[guess].slot() == slot)
			return {&leaf->entries[guess], leaf};
		return search(*leaf, slot);
	}

	// The first record at slot or after it, or null.
	SlotRecord *first_from(u64 slot) const;

	// Adds a record with meta and value 0 for a slot that has none, at the spot
	// that find() returned for it. Takes memory as pin_allocate() does. Errors: ENOMEM.
	Result<SlotRecord *> insert(const Spot &spot, u64 slot, PinReserve *reserve);

	// Removes the record at a spot.
	void erase(const Spot &spot)
	{
		erase_from(spot.leaf, spot.record);
	}

	// Removes all records. The caller frees what their values point to.
	void clear();

	// The memory of the nodes.
	u64 bytes() const
	{
		return bytes_;
	}

	// For tests: whether order, depth, sizes and counts are right.
	bool invariants_hold() const;

private:
	static constexpr u32 kNodeSize = 1024;
	// The counts of a node take the room of one record.
	static constexpr u32 kFull = kNodeSize / sizeof(SlotRecord) - 1;
	// Nodes with this many entries or fewer are merged with a neighbour, if both
	// fit one node.
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

	static SlotRecord *entry_for(Node &node, u64 slot);
	static u32 index_for(Node &node, u64 slot);
	static u32 before(Node &leaf, u64 slot);
	static SlotRecord *open_gap(Node &node, u32 at);
	static void close_gap(Node &node, u32 at);
	static void move_entries(Node &from, u32 at, Node &to, u32 to_at, u32 count);
	static u32 split_point(const Node &node, u32 at);
	static bool check(const Node &node, u32 level, u64 least, u64 most);

	static Spot search(Node &leaf, u64 slot);

	Node *leaf_for(u64 slot) const;
	[[gnu::noinline]] Result<Node *> leaf_with_room(u64 slot, PinReserve *reserve);
	void erase_from(Node *leaf, const SlotRecord *record);
	void shrink(u64 slot);
	Node *new_node(u32 size, PinReserve *reserve);
	Node *first_leaf()
	{
		return reinterpret_cast<Node *>(first_);
	}

	void free_node(Node *node);
	void free_below(Node *node, u32 level);
	Result<void> grow_root(PinReserve *reserve);
	Result<void> raise_root(PinReserve *reserve);
	Result<void> split(Node &parent, u32 at, u32 keep, PinReserve *reserve);
	static bool balance(Node &parent, u32 at);
	bool merge(Node &parent, u32 at, bool inner);
	void lower_root();

	Node *root_ = nullptr;
	u64 bytes_ = 0;
	// How many levels of inner nodes there are. Leaves are level 0.
	u32 height_ = 0;
	// The memory of a leaf for one record, so that a single slot takes no other.
	alignas(Node) u8 first_[sizeof(Node) + sizeof(SlotRecord)];
};

static_assert(sizeof(SlotRecord) == 16);

} // namespace vfio
