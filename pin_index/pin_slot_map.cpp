// SPDX-License-Identifier: GPL-2.0
#include "pin_slot_map.hpp"

namespace vfio {

struct SlotMap::Path {
	Node *node[kMaxHeight + 1];
	u32 at[kMaxHeight + 1];
};

namespace {

// The first of room entries, one less than a power of two, whose key is more
// than most. A constant room makes that straight code.
[[gnu::always_inline]] inline const SlotRecord *first_after(const SlotRecord *entries, u64 room,
							    u64 most)
{
#pragma GCC unroll 8
	for (u64 step = (room + 1) / 2; step; step /= 2) {
		const SlotRecord *const next = entries + step;

		entries = next[-1].key <= most ? next : entries;
	}
	return entries;
}

} // namespace

// How many entries are of slot or earlier ones.
inline u32 SlotMap::up_to(const Node &node, u64 slot)
{
	const u64 most = slot << SlotRecord::kMetaBits | SlotRecord::kMetaMask;
	const SlotRecord *const after = node.capacity == kFull ?
						first_after(node.entries, kFull, most) :
						first_after(node.entries, node.capacity, most);

	// Nothing is after the last slot's, not even unused ones.
	return min(static_cast<u32>(after - node.entries), u32{node.count});
}

// How many are of earlier ones.
u32 SlotMap::before(const Node &node, u64 slot)
{
	return slot ? up_to(node, slot - 1) : 0;
}

// The child that has slot, or would.
inline u32 SlotMap::child_for(const Node &node, u64 slot)
{
	const u32 at = up_to(node, slot);

	return at ? at - 1 : 0;
}

// The leaf that has slot, or would; there is a root.
inline SlotMap::Node *SlotMap::leaf_of(u64 slot) const
{
	Node *node = root_;

	for (u32 level = height_; level; level--)
		node = child(node->entries[child_for(*node, slot)]);
	return node;
}

inline SlotRecord *SlotMap::search(Node &leaf, u64 slot)
{
	const u32 at = up_to(leaf, slot);

	return at && leaf.entries[at - 1].slot() == slot ? &leaf.entries[at - 1] : nullptr;
}

SlotRecord *SlotMap::search(u64 slot) const
{
	return root_ ? search(*leaf_of(slot), slot) : nullptr;
}

[[gnu::noinline]] SlotRecord *SlotMap::search_and_note(u64 slot)
{
	Node *const leaf = root_ ? leaf_of(slot) : nullptr;

	note(leaf, leaf ? search(*leaf, slot) : nullptr, slot);
	return recent_;
}

SlotRecord *SlotMap::first_from(u64 slot) const
{
	Node *node = root_;
	// Where the next leaf is, if this one has nothing from slot on.
	Node *next = nullptr;
	u32 next_level = 0;

	if (!node)
		return nullptr;
	for (u32 level = height_; level; level--) {
		const u32 at = child_for(*node, slot);

		if (at + 1u < node->count) {
			next = child(node->entries[at + 1]);
			next_level = level - 1;
		}
		node = child(node->entries[at]);
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

SlotMap::Node *SlotMap::new_node(u32 size)
{
	auto *node = static_cast<Node *>(shim_alloc_object(size));

	if (!node)
		return nullptr;
	node->count = 0;
	node->capacity = static_cast<u16>(size / sizeof(SlotRecord) - 1);
	clear_keys(*node, 0, node->capacity);
	bytes_ += size;
	return node;
}

void SlotMap::clear_keys(Node &node, u32 at, u32 count)
{
	for (u32 i = at; i < at + count; i++)
		node.entries[i].key = kNoKey;
}

void SlotMap::free_node(Node *node)
{
	bytes_ -= size_of(*node);
	shim_free(node);
}

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
	clear_keys(node, node.count, 1);
}

// Moves count entries of one node to their place in another.
void SlotMap::move_entries(Node &from, u32 at, Node &to, u32 to_at, u32 count)
{
	SlotRecord *source = from.entries + at;
	SlotRecord *target = to.entries + to_at;

	__builtin_memmove(target + count, target, (to.count - to_at) * sizeof(*target));
	__builtin_memcpy(target, source, count * sizeof(*target));
	to.count = static_cast<u16>(to.count + count);
	from.count = static_cast<u16>(from.count - count);
	__builtin_memmove(source, source + count, (from.count - at) * sizeof(*source));
	clear_keys(from, from.count, count);
}

// A root that is a leaf doubles until it is a node as any other.
Result<void> SlotMap::grow_root()
{
	Node *node = new_node(root_ ? 2 * size_of(*root_) : kSmallestNode);

	if (!node)
		return Error(ENOMEM);
	if (root_) {
		node->count = root_->count;
		__builtin_memcpy(node->entries, root_->entries, root_->count * sizeof(SlotRecord));
		free_node(root_);
	}
	root_ = node;
	return {};
}

// Puts a root above the root, so that it can split.
Result<void> SlotMap::raise_root()
{
	if (WARN_ONCE_IF(height_ == kMaxHeight, "pin index too deep"))
		return Error(ENOMEM);

	Node *node = new_node(kNodeSize);
	if (!node)
		return Error(ENOMEM);
	node->count = 1;
	node->entries[0] = {0, reinterpret_cast<u64>(root_)};
	root_ = node;
	height_++;
	return {};
}

// How many entries a full node keeps that splits for one more at at.
u32 SlotMap::split_point(const Node &node, u32 at)
{
	if (at >= node.count - 1u)
		return node.count - 1u;
	return at == 0 ? 1 : node.count / 2;
}

// Moves what entry at's child has beyond keep into a new child. The parent has
// room.
Result<void> SlotMap::split(Node &parent, u32 at, u32 keep)
{
	Node *left = child(parent.entries[at]);
	Node *right = new_node(kNodeSize);

	if (!right)
		return Error(ENOMEM);
	move_entries(*left, keep, *right, 0, left->count - keep);
	*open_gap(parent, at + 1) = {right->entries[0].key & ~SlotRecord::kMetaMask,
				     reinterpret_cast<u64>(right)};
	return {};
}

// Evens entry at's leaf, which is full, out with one beside it, if that has
// room for some.
bool SlotMap::give_to_neighbour(Node &parent, u32 at)
{
	constexpr u32 enough = kFull - kFull / 8;
	Node *node = child(parent.entries[at]);

	if (at + 1u < parent.count) {
		Node *right = child(parent.entries[at + 1]);

		if (right->count < enough) {
			const u32 moved = (kFull - right->count) / 2;

			move_entries(*node, kFull - moved, *right, 0, moved);
			parent.entries[at + 1].key = right->entries[0].key & ~SlotRecord::kMetaMask;
			return true;
		}
	}
	if (at > 0) {
		Node *left = child(parent.entries[at - 1]);

		if (left->count < enough) {
			const u32 moved = (kFull - left->count) / 2;

			move_entries(*node, 0, *left, left->count, moved);
			parent.entries[at].key = node->entries[0].key & ~SlotRecord::kMetaMask;
			return true;
		}
	}
	return false;
}

Result<SlotRecord *> SlotMap::insert(u64 slot)
{
	forget_recent();
	if (!root_ || (height_ == 0 && root_->count == root_->capacity && root_->capacity < kFull))
		TRY(grow_root());
	if (root_->count == kFull)
		TRY(raise_root());

	// Every inner node on the way gets room for one more child.
	Node *node = root_;
	for (u32 level = height_; level; level--) {
		u32 at = child_for(*node, slot);
		Node *below = child(node->entries[at]);

		if (below->count == kFull) {
			const u32 wanted =
				level > 1 ? child_for(*below, slot) : before(*below, slot);

			if (level > 1 || !give_to_neighbour(*node, at)) {
				const Result<void> result =
					split(*node, at, split_point(*below, wanted));

				if (!result.ok()) {
					lower_root();
					return result.error();
				}
			}
			at = child_for(*node, slot);
		}
		node = child(node->entries[at]);
	}

	SlotRecord *record = open_gap(*node, before(*node, slot));
	*record = {slot << SlotRecord::kMetaBits, 0};
	note(node, record, slot);
	return record;
}

// Makes one of entry at's child and the one after it, if there is, and they
// fit well.
bool SlotMap::merge(Node &parent, u32 at, bool inner)
{
	if (at + 1u >= parent.count)
		return false;

	Node *left = child(parent.entries[at]);
	Node *right = child(parent.entries[at + 1]);
	if (left->count + right->count > kFull * 3 / 4)
		return false;

	// The first key of an inner node was never looked at; it is now.
	if (inner)
		right->entries[0].key = parent.entries[at + 1].key;
	move_entries(*right, 0, *left, left->count, right->count);
	free_node(right);
	close_gap(parent, at + 1);
	return true;
}

void SlotMap::erase(u64 slot)
{
	const SlotRecord *const record = find_and_note(slot);
	if (WARN_ONCE_IF(!record, "pin index has no such slot"))
		return;

	Node &leaf = *recent_leaf_;

	forget_recent();
	// Mostly enough are left.
	if (leaf.count > (height_ ? kFewest + 1 : 1)) [[likely]]
		close_gap(leaf, static_cast<u32>(record - leaf.entries));
	else
		erase_and_merge(slot);
}

[[gnu::noinline]] void SlotMap::erase_and_merge(u64 slot)
{
	Path path;
	Node *node = root_;

	for (u32 level = height_; level; level--) {
		path.node[level] = node;
		path.at[level] = child_for(*node, slot);
		node = child(node->entries[path.at[level]]);
	}
	close_gap(*node, before(*node, slot));

	for (u32 level = 1; level <= height_; level++) {
		Node &parent = *path.node[level];
		const u32 at = path.at[level];

		if (node->count == 0) {
			free_node(node);
			close_gap(parent, at);
		} else if (node->count > kFewest ||
			   !(merge(parent, at, level > 1) ||
			     (at > 0 && merge(parent, at - 1, level > 1)))) {
			break;
		}
		node = &parent;
	}
	lower_root();
}

// A root with one child is none; without any the map is empty.
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

// The recursion is as deep as the tree is high.
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
	forget_recent();
	height_ = 0;
}

// That a node below holds slots of [least, most] only, in order.
bool SlotMap::check(const Node &node, u32 level, u64 least, u64 most) // NOLINT(misc-no-recursion)
{
	if (node.count == 0 || node.count > node.capacity)
		return false;
	for (u32 i = node.count; i < node.capacity; i++)
		if (node.entries[i].key != kNoKey)
			return false;
	for (u32 i = 0; i < node.count; i++) {
		// The least that this entry may hold, and the most.
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
