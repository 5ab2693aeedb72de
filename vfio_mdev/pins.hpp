// SPDX-License-Identifier: GPL-2.0
//
// Pins: the pages that the driver of a mediated device has pinned, by iova. The
// driver's interface is include/vfio_cxx/mdev_pins.h.
//
// A page that is in the index has been pinned through VFIO once, however often
// the driver has pinned it. If the driver named a device that does DMA, the page
// also has one DMA mapping for that device. The page's mark says which access
// VFIO allowed (IOMMU_READ, IOMMU_WRITE). If a later pin wants more access, VFIO
// pins the page once more to see whether that is allowed, and unpins it at once.
//
// lock_ is not held while VFIO pins or unpins pages and while pages are mapped
// for DMA. Meanwhile the call is on calls_, with its range of pages. drop() must
// return with nothing pinned in its range, therefore:
// - drop() makes each overlapping pin() that is on calls_ fail. Such a pin()
//   undoes what it has done, in the dropped range and outside;
// - no pin() begins that overlaps a pin() that was made to fail. So what the
//   failed one undoes are its own counts, and not those of a later pin();
// - drop() waits until such pins, and all calls that came before it, have left.
//   It gives up if none leaves for a second, because that call may be waiting
//   for the unmap in which the driver calls drop(). The unmap calls it again.
//
// Locks: no other lock is taken, and nothing of VFIO, of the DMA API or of the
// driver is called, while lock_ is held. The exception is what for_each() visits.
#pragma once

#include "pin_index/pin_index.hpp"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"
#include "vocab/memory.hpp"

struct device;
struct mdev_pin_run;
struct vfio_device;

// The pins, as the C side names them.
struct mdev_pins {};

namespace vfio {

struct InPins;

// The public methods are those of include/vfio_cxx/mdev_pins.h.
class Pins : public mdev_pins, Immovable {
public:
	// dma_dev may be null.
	Pins(vfio_device *vdev, device *dma_dev, u32 direction)
		: vdev_(vdev), dma_dev_(dma_dev), direction_(direction), index_(dma_dev != nullptr)
	{
	}

	// Unpins what is left. No call is under way.
	~Pins();

	static Pins &of(mdev_pins *handle)
	{
		return *static_cast<Pins *>(handle);
	}

	Result<void> pin(Iova iova, u64 npages, u32 prot);
	u64 unpin(Iova iova, u64 npages);
	u64 drop(Iova iova, u64 size);
	bool find(Iova iova, mdev_pin_run &run) const;
	int for_each(Iova iova, Iova last, int (*visit)(const mdev_pin_run *run, void *arg),
		     void *arg) const;
	u64 npages() const;
	u64 bytes() const;

private:
	// A call of pin(), unpin() or drop(), on its caller's stack.
	struct Call : ListNode<InPins> {
		enum class Kind { kPin, kUnpin, kDrop };

		Call(Kind kind, u64 first, u64 last) : kind(kind), first(first), last(last)
		{
		}

		bool overlaps(const Call &other) const
		{
			return first <= other.last && other.first <= last;
		}

		const Kind kind;
		// The range, in pages of the index.
		const u64 first;
		const u64 last;
		// Guarded by lock_: a drop() has made this pin() fail.
		bool dropped = false;
		// Calls are numbered in the order in which they first hold lock_;
		// 0 before that.
		u64 number = 0;
		// Whether the call is on calls_. Only its own thread uses this.
		bool inside = false;
	};

	struct PinCall;

	// pins.cpp
	void enter_locked(Call &call) __must_hold(lock_);
	void leave_locked(Call &call) __must_hold(lock_);
	bool overlaps_dropped(const Call &call) const __must_hold(lock_);
	bool waits_locked(const Call &drop) const __must_hold(lock_);
	bool wait_until_one_leaves(u64 seen);
	void drop_pins_locked(const Call &drop) __must_hold(lock_);
	void wait_for_earlier(const Call &drop);
	u64 take_locked(const Call &call, u64 first, u64 npages, PinnedRuns &gone, u64 &taken)
		__must_hold(lock_);
	u64 take(Call &call, u64 npages);
	void release(const PinnedRuns &gone);
	void release_pages(u64 first, u64 npages);

	// pins_pin.cpp
	Result<void> begin(PinCall &call);
	Result<void> go_on(PinCall &call);
	Result<void> count_locked(PinCall &call) __must_hold(lock_);
	Result<void> fetch(PinCall &call);
	Result<void> map_pages(PinCall &call, u32 npages);
	Result<u32> store_locked(PinCall &call, u32 fetched) __must_hold(lock_);

	static LockClass lock_class_;
	static LockClass left_class_;

	vfio_device *const vdev_;
	device *const dma_dev_;
	const u32 direction_;

	mutable RwSem lock_{lock_class_};
	PinIndex index_ __guarded_by(lock_);
	List<Call, InPins> calls_ __guarded_by(lock_);
	u64 last_number_ __guarded_by(lock_) = 0;
	// How many calls have left calls_. Written with lock_ held; those that
	// wait at somebody_left_ read it without.
	u64 left_ = 0;
	WaitQueue somebody_left_{left_class_};
};

} // namespace vfio
