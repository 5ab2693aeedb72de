// SPDX-License-Identifier: GPL-2.0
//
// DmaTree: the mappings of one address space, in the order of their IOVAs, and
// how far each has come in its life.
//
// A mapping is
// - busy while one caller makes or unmaps it. It is in the tree, but only that
//   caller uses it;
// - settled if it is not busy;
// - held while callers use its memory without the lock;
// - idle if it is neither busy nor held.
// A caller that needs a mapping in another state waits, so that calls for the same
// addresses take effect one after the other. The life of a mapping:
//
//   insert_busy()  busy: the caller pins and maps it
//   settle()       idle: anybody may hold it, which keeps it from being unmapped
//   hold(), let_go()
//   list_idle(), make_busy()   busy: the caller unmaps and unpins it
//   remove()       gone
//
// Invariants, whenever lock is free: mappings do not overlap; the counts are
// those of the mappings in the tree; there are limit mappings at most.
//
// Lock: lock guards the tree, and all that is not constant in a mapping that is
// not busy. Callers hold it while they look up and link, never while pages are
// pinned or an IOMMU works, so that callers on ranges that do not overlap run at
// one time. The mmap lock of a process is taken inside it.
#pragma once

#include "dma_range.hpp"
#include "vocab/lock.hpp"

namespace vfio {

class DmaTree : Immovable {
public:
	// limit: how many mappings there may be.
	explicit DmaTree(u32 limit);

	// The first member, because it is used most.
	Mutex lock{lock_class_};

	// The mapping that has the address, or nullptr.
	DmaRange *find(Iova iova) const __must_hold(lock)
	{
		return tree_.find(iova);
	}

	// The first mapping with an address in range, or nullptr.
	DmaRange *first_in(IovaRange range) const __must_hold(lock)
	{
		return tree_.first_in(range);
	}

	// The mapping after dma if it has an address in range, or nullptr.
	DmaRange *next_in(const DmaRange &dma, IovaRange range) const __must_hold(lock)
	{
		DmaRange *next = tree_.next(dma);

		return next && next->range().first <= range.last ? next : nullptr;
	}

	// Returns the tree, for loops over all mappings in the order of their IOVAs.
	const RangeTree<DmaRange> &all() const __must_hold(lock)
	{
		return tree_;
	}

	// Puts all mappings on a list.
	void list_all(List<DmaRange> &dmas) const __must_hold(lock);

	// Whether all mappings are inside range.
	bool all_inside(IovaRange range) const __must_hold(lock);

	// Whether the first or the last address of range cuts a mapping in two. Waits
	// for a busy mapping, which may fail or be unmapped. Errors: EINTR.
	Result<bool> bisects(IovaRange range) __must_hold(lock);

	// Waits until no mapping in range is busy. Errors: EINTR.
	Result<void> wait_settled(IovaRange range) __must_hold(lock)
	{
		return wait(range, false);
	}

	// Waits until all mappings in range are idle. Errors: EINTR.
	Result<void> wait_idle(IovaRange range) __must_hold(lock)
	{
		return wait(range, true);
	}

	// Puts a new mapping into the tree, busy, and makes the calling process
	// its owner. Waits first until no mapping at its addresses is busy.
	// Errors: EEXIST if it overlaps another, ENOSPC at the limit, ENODEV in a
	// kthread, ENOMEM, EINTR; it is not in the tree then.
	Result<void> insert_busy(DmaRange &dma) __must_hold(lock);

	// Undoes insert_busy() if the lock has been held since.
	void take_back(DmaRange &dma) __must_hold(lock);

	// Makes a busy mapping idle, and wakes callers that wait for that.
	void settle(DmaRange &dma) __must_not_hold(lock)
	{
		// Callers in wait() have counted themselves before they look: either
		// they see the mapping settled, or are seen here.
		dma.busy.store(false);
		if (waiting_.load()) [[unlikely]]
			wake_waiting();
	}

	// Returns the mapping that has the address, after waiting until it is not
	// busy. Errors: EINVAL if there is none, EINTR.
	Result<DmaRange *> find_settled(Iova iova) __must_hold(lock)
	{
		DmaRange *dma = tree_.find(iova);

		if (dma && dma->busy.load()) [[unlikely]] {
			TRY(wait_settled({iova, iova}));
			dma = tree_.find(iova);
		}
		if (!dma) [[unlikely]]
			return Error(EINVAL);
		return dma;
	}

	// Keeps a settled mapping from being unmapped until let_go().
	static void hold(DmaRange &dma)
	{
		dma.held++;
	}

	// Undoes hold().
	void let_go(DmaRange &dma) __must_hold(lock)
	{
		if (--dma.held == 0 && waiting_.load())
			settled_.wake_all();
	}

	// Puts the mappings in range on a list, once all are idle. Returns the
	// first that devices have pinned pages of, or nullptr. Errors: EINTR.
	Result<DmaRange *> list_idle(IovaRange range, List<DmaRange> &dmas) __must_hold(lock);

	// Makes idle mappings busy, for the caller to unmap.
	static void make_busy(const List<DmaRange> &dmas)
	{
		for (DmaRange &dma : dmas)
			dma.busy.store(true);
	}

	// Takes busy mappings, which are neither mapped nor pinned any more, out
	// of the tree and frees them; before that, uncharges their owners. Returns
	// their size in bytes.
	u64 remove(List<DmaRange> &dmas) __must_not_hold(lock);

	// The same for a mapping that could not be made.
	void remove_failed(DmaRange &dma) __must_not_hold(lock);

	// The user address of an idle mapping is not valid any more; nothing may
	// be pinned in the address space until restore_vaddr() gives it another.
	void invalidate_vaddr(DmaRange &dma) __must_hold(lock)
	{
		dma.vaddr_invalid = true;
		vaddr_invalid_++;
	}

	// Gives such a mapping the address uva in the calling process, which
	// becomes its owner. If charging it fails, the log names a device of
	// group. Errors: ENODEV, ENOMEM, EINTR; nothing has changed then.
	Result<void> restore_vaddr(DmaRange &dma, UserVa uva, iommu_group *group) __must_hold(lock);

	// What has been unmapped since the beginning: all that was ever mapped but for the mappings
	// that there are. A mapping that could not be made does not count.
	struct Unmapped {
		u64 count;
		u64 bytes;
	};

	const Unmapped &unmapped() const __must_hold(lock)
	{
		return unmapped_;
	}

	// How many mappings have no valid user address.
	u32 vaddr_invalid() const __must_hold(lock)
	{
		return vaddr_invalid_;
	}

	// How many more mappings may be made.
	u32 available() const __must_hold(lock)
	{
		return available_;
	}

	// Whether a mapping has more pages than a dirty bitmap may have bits.
	static bool oversized(IovaRange range)
	{
		return range.npages() > DirtyBitmap::kMaxBits;
	}

	// How many such mappings there are.
	u32 oversized() const __must_hold(lock)
	{
		return oversized_;
	}

private:
	static LockClass lock_class_;
	static LockClass settled_class_;

	DmaRange *unsettled(IovaRange range, bool held_too) const __must_hold(lock);
	Result<void> wait(IovaRange range, bool held_too) __must_hold(lock);
	void wake_waiting() __must_not_hold(lock);
	void uncount(const DmaRange &dma) __must_hold(lock);
	static void uncharge_all(const List<DmaRange> &dmas);
	static void free_all(List<DmaRange> &dmas);

	RangeTree<DmaRange> tree_ __guarded_by(lock);
	// The owner of the mapping that was made last: its process mostly makes
	// the next one too.
	RefPtr<Owner> last_owner_ __guarded_by(lock);
	u32 available_ __guarded_by(lock);
	u32 oversized_ __guarded_by(lock) = 0;
	u32 vaddr_invalid_ __guarded_by(lock) = 0;
	Unmapped unmapped_ __guarded_by(lock) = {};

	WaitQueue settled_{settled_class_};
	// How many callers are in wait(). It changes under lock.
	Atomic<u32> waiting_{0};
};

} // namespace vfio
