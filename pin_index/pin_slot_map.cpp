// SPDX-License-Identifier: GPL-2.0
#include "pin_slot_map.hpp"

namespace vfio {

// The last entry whose key is of this slot or of an earlier one, or else the first. In
// an inner node, that entry's child has the slot's record, if there is one.
inline SlotRecord *SlotMap::entry_for(Node &node, u64 slot)
{
	const u64 most = slot << SlotRecord::kMetaBits | SlotRecord::kMetaMask;
	SlotRecord *entry = node.entries;

	for (u32 left = node.count; left > 1;) {
		const u32 half = left / 2;

		entry = entry[half].key <= most ? entry + half : entry;
		left -= half;
	}
	return entry;
}

u32 SlotMap::index_for(Node &node, u64 slot)
{
	return static_cast<u32>(entry_for(node, slot) - node.entries);
}

// How many entries of a leaf are of earlier slots.
u32 SlotMap::before(Node &leaf, u64 slot)
{
	const SlotRecord *entry = entry_for(leaf, slot);

	return static_cast<u32>(entry - leaf.entries) + (leaf.count && entry->slot() < slot);
}

// The leaf that has the slot's record, if there is one. Requires a root.
SlotMap::Node *SlotMap::leaf_for(u64 slot) const
{
	Node *node = root_;

	for (u32 level = height_; level; level--)
		node = child(*entry_for(*node, slot));
	return node;
}

SlotMap::Spot SlotMap::search(Node &leaf, u64 slot)
{
	SlotRecord *record = entry_for(leaf, slot);

	return {record->slot() == slot ? record : nullptr, &leaf};
}

SlotRecord *SlotMap::first_from(u64 slot) const
{
	Node *node = root_;
	// The subtree after the leaf, for when the leaf has nothing from slot on.
	Node *next = nullptr;
	u32 next_level = 0;

	if (!node)
		return nullptr;
	for (u32 level = height_; level; level--) {
		const SlotRecord *entry = entry_for(*node, slot);

		if (entry + 1 < node->entries + node->count) {
			next = child(entry[1]);
			next_level = level - 1;
		}
		node = child(*entry);
	}

	const u32 at = before(*node, slot);
	if (at < node->count)
		return &node->entries[at];
	if (!next)
		return nullptr;
	for (; next_level; next_level--)
		next = child(next->entries[0]);
	return &next->entries[0];
}

SlotMap::Node *SlotMap::new_node(u32 size, PinReserve *reserve)
{
	auto *node = static_cast<Node *>(pin_allocate(size, reserve));

	if (!node)
		return nullptr;
	node->count = 0;
	node->capacity = static_cast<u16>(size / sizeof(SlotRecord) - 1);
	bytes_ += size;
	return node;
}

void SlotMap::free_node(Node *node)
{
	if (node == first_leaf())
		return;
	bytes_ -= size_of(*node);
	shim_free(node);
}

// Makes room for an entry, which the caller fills.
SlotRecord *SlotMap::open_gap(Node &node, u32 at)
{
	SlotRecord *entry = node.entries + at;

	__builtin_memmove(entry + 1, entry, (node.count - at) * sizeof(*entry));
	node.count++;
	return entry;
}

void SlotMap::close_gap(Node &node, u32 at)
{
	SlotRecord *entry = node.entries + at;

	node.count--;
	__builtin_memmove(entry, entry + 1, (node.count - at) * sizeof(*entry));
}

// Moves count entries, from entry at on, to another node, where they become entry
// to_at and the following ones.
void SlotMap::move_entries(Node &from, u32 at, Node &to, u32 to_at, u32 count)
{
	SlotRecord *source = from.entries + at;
	SlotRecord *target = to.entries + to_at;

	__builtin_memmove(target + count, target, (to.count - to_at) * sizeof(*target));
	__builtin_memcpy(target, source, count * sizeof(*target));
	to.count = static_cast<u16>(to.count + count);
	from.count = static_cast<u16>(from.count - count);
	__builtin_memmove(source, source + count, (from.count - at) * sizeof(*source));
}

// Makes the first root, or doubles a root that is a leaf and smaller than kNodeSize.
Result<void> SlotMap::grow_root(PinReserve *reserve)
{
	if (!root_) {
		root_ = first_leaf();
		root_->count = 0;
		root_->capacity = 1;
		return {};
	}

	Node *node = new_node(2 * size_of(*root_), reserve);
	if (!node)
		return Error(ENOMEM);
	node->count = root_->count;
	__builtin_memcpy(node->entries, root_->entries, root_->count * sizeof(SlotRecord));
	free_node(root_);
	root_ = node;
	return {};
}

// Puts a new root above the root, which is full, so that it can be split.
Result<void> SlotMap::raise_root(PinReserve *reserve)
{
	if (WARN_ONCE_IF(height_ == kMaxHeight, "pin index too deep"))
		return Error(ENOMEM);

	Node *node = new_node(kNodeSize, reserve);
	if (!node)
		return Error(ENOMEM);
	node->count = 1;
	node->entries[0] = {0, reinterpret_cast<u64>(root_)};
	root_ = node;
	height_++;
	return {};
}

// How many entries a full node keeps when it is split for a new entry at `at`.
u32 SlotMap::split_point(const Node &node, u32 at)
{
	if (at >= node.count - 1u)
		return node.count - 1u;
	return at == 0 ? 1 : node.count / 2;
}

// Splits the child of a parent's entry: all but the first keep entries move to a new
// child after it. Requires room in the parent.
Result<void> SlotMap::split(Node &parent, u32 at, u32 keep, PinReserve *reserve)
{
	Node *left = child(parent.entries[at]);
	Node *right = new_node(kNodeSize, reserve);

	if (!right)
		return Error(ENOMEM);
	move_entries(*left, keep, *right, 0, left->count - keep);
	*open_gap(parent, at + 1) = {right->entries[0].key & ~SlotRecord::kMetaMask,
				     reinterpret_cast<u64>(right)};
	return {};
}

// Moves records between a parent's leaves at and at + 1 until both have equally many.
// Returns false, having done nothing, unless one can take a few records.
bool SlotMap::balance(Node &parent, u32 at)
{
	Node *left = child(parent.entries[at]);
	Node *right = child(parent.entries[at + 1]);
	const u32 total = left->count + right->count;
	const u32 keep = total / 2;

	if (total >= 2 * kFull - kFull / 8)
		return false;
	if (left->count > keep)
		move_entries(*left, keep, *right, 0, left->count - keep);
	else
		move_entries(*right, 0, *left, left->count, keep - left->count);
	parent.entries[at + 1].key = right->entries[0].key & ~SlotRecord::kMetaMask;
	return true;
}

Result<SlotRecord *> SlotMap::insert(const Spot &spot, u64 slot, PinReserve *reserve)
{
	Node *leaf = spot.leaf;

	if (!leaf || leaf->count == leaf->capacity)
		leaf = TRY(leaf_with_room(slot, reserve));

	SlotRecord *record = open_gap(*leaf, before(*leaf, slot));
	*record = {slot << SlotRecord::kMetaBits, 0};
	return record;
}

// Splits nodes, or grows the root, so that the leaf for the slot has room for one more
// record. Errors: ENOMEM.
Result<SlotMap::Node *> SlotMap::leaf_with_room(u64 slot, PinReserve *reserve)
{
	if (!root_ || (height_ == 0 && root_->capacity < kFull))
		TRY(grow_root(reserve));
	if (root_->count == kFull)
		TRY(raise_root(reserve));

	// On the way down, full nodes are split, so that each has room for one more child.
	Node *node = root_;
	for (u32 level = height_; level; level--) {
		u32 at = index_for(*node, slot);
		Node *below = child(node->entries[at]);

		if (below->count == kFull) {
			const bool leaf = level == 1;
			const u32 wanted = leaf ? before(*below, slot) : index_for(*below, slot);
			const bool balanced =
				leaf && ((at + 1u < node->count && balance(*node, at)) ||
					 (at > 0 && balance(*node, at - 1)));
			const Result<void> result =
				balanced ? Result<void>() :
					   split(*node, at, split_point(*below, wanted), reserve);

			if (!result.ok()) {
				lower_root();
				return result.error();
			}
			at = index_for(*node, slot);
		}
		node = child(node->entries[at]);
	}

	return node;
}

// Merges the children of a parent's entries at and at + 1, if both exist and fill no
// more than three quarters of a node. inner: whether they are inner nodes.
bool SlotMap::merge(Node &parent, u32 at, bool inner)
{
	if (at + 1u >= parent.count)
		return false;

	Node *left = child(parent.entries[at]);
	Node *right = child(parent.entries[at + 1]);
	if (left->count + right->count > kFull * 3 / 4)
		return false;

	// The first key of an inner node is not kept right, because no search uses it. This
	// one becomes a key that searches use.
	if (inner)
		right->entries[0].key = parent.entries[at + 1].key;
	move_entries(*right, 0, *left, left->count, right->count);
	free_node(right);
	close_gap(parent, at + 1);
	return true;
}

void SlotMap::erase_from(Node *leaf, const SlotRecord *record)
{
	const u64 slot = record->slot();

	close_gap(*leaf, static_cast<u32>(record - leaf->entries));
	if (height_ == 0 && leaf->count == 0)
		lower_root();
	else if (height_ && leaf->count <= kFewest)
		shrink(slot);
}

// Merges or frees nodes on the way to the leaf for the slot, from the leaf up, as long
// as they have few entries.
void SlotMap::shrink(u64 slot)
{
	// The inner nodes on the way, by level, and the entry taken in each.
	Node *parents[kMaxHeight + 1];
	u32 taken[kMaxHeight + 1];
	Node *node = root_;

	for (u32 level = height_; level; level--) {
		parents[level] = node;
		taken[level] = index_for(*node, slot);
		node = child(node->entries[taken[level]]);
	}
	for (u32 level = 1; level <= height_ && node->count <= kFewest; level++) {
		Node &parent = *parents[level];
		const u32 at = taken[level];

		if (node->count == 0) {
			free_node(node);
			close_gap(parent, at);
		} else if (!merge(parent, at, level > 1) &&
			   !(at > 0 && merge(parent, at - 1, level > 1))) {
			break;
		}
		node = &parent;
	}
	lower_root();
}

// Removes roots with a single child, and a root without entries.
void SlotMap::lower_root()
{
	while (height_ && root_->count == 1) {
		Node *only = child(root_->entries[0]);

		free_node(root_);
		root_ = only;
		height_--;
	}
	if (root_->count == 0) {
		free_node(root_);
		root_ = nullptr;
		height_ = 0;
	}
}

// Frees a node and all below it.
void SlotMap::free_below(Node *node, u32 level) // NOLINT(misc-no-recursion)
{
	if (level)
		for (u32 i = 0; i < node->count; i++)
			free_below(child(node->entries[i]), level - 1);
	free_node(node);
}

void SlotMap::clear()
{
	if (root_)
		free_below(root_, height_);
	root_ = nullptr;
	height_ = 0;
}

// For tests: whether a node and all below it hold slots of [least, most], in order.
bool SlotMap::check(const Node &node, u32 level, u64 least, u64 most) // NOLINT(misc-no-recursion)
{
	if (node.count == 0 || node.count > node.capacity)
		return false;
	for (u32 i = 0; i < node.count; i++) {
		// The least and the greatest slot that this entry may hold.
		const u64 first = level && i == 0 ? least : node.entries[i].slot();
		const u64 last = i + 1u < node.count ? node.entries[i + 1].slot() - 1 : most;

		if (first < least || last > most || first > last)
			return false;
		if (level && !check(*child(node.entries[i]), level - 1, first, last))
			return false;
	}
	return true;
}

bool SlotMap::invariants_hold() const
{
	if (!root_)
		return bytes_ == 0 && height_ == 0;
	return check(*root_, height_, 0, kLastSlot) && (height_ == 0 || root_->count > 1);
}

} // namespace vfio
