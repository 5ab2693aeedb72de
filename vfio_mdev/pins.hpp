// SPDX-License-Identifier: GPL-2.0
//
// Pins: what the driver of a mediated device has pinned, by iova. Behind
// include/vfio_cxx/mdev_pins.h.
//
// A page that is in the index is pinned through VFIO once, however often the
// index counts it, and has one DMA mapping of its own if there is a device to
// map it for. Its mark says with which protection VFIO has let it be pinned; a
// pin that wants more asks VFIO once more, and then only counts.
//
// While somebody has pages pinned that the index does not have, no lock is
// held, but the call stands on calls_ with its range:
// - whoever drops a range fails all pins that are on their way there. Such a
//   pin takes back what it did, in the range and outside;
// - until it has, nobody begins a pin that overlaps it: what it takes back are
//   its own counts then, and not those of others who pinned after the drop;
// - the drop waits for it, and for earlier calls that still unpin, so that all
//   is unpinned when it returns. But not for ever: what they wait for may be
//   the very unmap that made the driver drop. That one will ask again.
//
// Locks: lock_ is innermost. Nothing of VFIO, of the DMA API or of a driver is
// called with it, but for_each()'s visitor.
#pragma once

#include "handles.hpp"
#include "pin_index/pin_index.hpp"
#include "vocab/list.hpp"
#include "vocab/lock.hpp"

struct device;
struct mdev_core_pin_run;
struct vfio_device;

namespace vfio {

struct InPins;

class Pins : public mdev_pins, Immovable {
public:
	// dma_dev may be null. Errors: EINVAL for no direction, ENOMEM.
	static Result<UniquePtr<Pins>> create(vfio_device *vdev, device *dma_dev, u32 direction);

	Pins(vfio_device *vdev, device *dma_dev, u32 direction)
		: vdev_(vdev), dma_dev_(dma_dev), direction_(direction), index_(dma_dev != nullptr)
	{
	}

	// Unpins what is left. Nobody is inside.
	~Pins();

	static Pins &of(mdev_pins *handle)
	{
		return *static_cast<Pins *>(handle);
	}

	// Pins each page once more; all or none. Errors: EINVAL for what is no
	// range, or was dropped meanwhile; EOVERFLOW for a count, ENOMEM, EIO
	// if there is no DMA address for a page, errors of VFIO.
	Result<void> pin(Iova iova, u64 npages, u32 prot);

	// Unpins once what is pinned of these pages; returns how many were.
	u64 unpin(Iova iova, u64 npages);

	// Unpins what is pinned in the range, however often, and what is about
	// to be; returns how many pages were.
	u64 drop(Iova iova, u64 size);

	// The pages from iova on that follow each other, as far as a slot of
	// the index goes. False if iova is not pinned.
	bool find(Iova iova, mdev_core_pin_run &run) const;

	// Visits what is pinned in [iova, last], in order, until a visit
	// returns anything but 0, and returns that. The lock is held shared.
	int for_each(Iova iova, Iova last, int (*visit)(const mdev_core_pin_run *run, void *arg),
		     void *arg) const;

	u64 npages() const;
	// Memory that it takes, with itself.
	u64 bytes() const;

private:
	// A call that is under way, on its caller's stack.
	struct Call : ListNode<InPins> {
		Call(u64 first, u64 last, bool pins) : first(first), last(last), pins(pins)
		{
		}

		bool overlaps(const Call &other) const
		{
			return first <= other.last && other.first <= last;
		}

		const u64 first;
		const u64 last;
		// Not one that unpins or drops.
		const bool pins;
		// Guarded by the lock.
		bool dropped = false;
		bool inside = false;
		// In which order they came.
		u64 number = 0;
	};

	class Batched;
	struct PinCall;
	struct SeenLeft;

	// pins.cpp
	void enter_locked(Call &call) __must_hold(lock_);
	void leave_locked(Call &call) __must_hold(lock_);
	bool overlaps_dropped(const Call &call) const __must_hold(lock_);
	bool earlier_in(const Call &drop) const __must_hold(lock_);
	bool wait_for_one(u64 seen);
	static bool has_left(const void *seen);
	void drop_pins_locked(const Call &drop) __must_hold(lock_);
	void wait_for_earlier(const Call &drop);

	template <class Gone>
	u64 take_locked(u64 first, u64 npages, Gone &gone, u64 &taken) __must_hold(lock_);
	template <class Gone> u64 take(Call &call, u64 npages);
	void release(const PinnedRuns &gone);
	void release_pages(u64 first, u64 npages);

	// pins_pin.cpp
	Result<void> begin(PinCall &call);
	Result<void> go_on(PinCall &call);
	Result<void> count_locked(PinCall &call) __must_hold(lock_);
	Result<void> fetch(PinCall &call);
	Result<void> map_pages(PinCall &call, u32 npages);
	Result<void> insert_locked(PinCall &call) __must_hold(lock_);
	void release_surplus(PinCall &call);

	static LockClass lock_class_;
	static LockClass left_class_;

	vfio_device *const vdev_;
	device *const dma_dev_;
	const u32 direction_;

	mutable RwSem lock_{lock_class_};
	PinIndex index_ __guarded_by(lock_);
	List<Call, InPins> calls_ __guarded_by(lock_);
	u64 last_number_ __guarded_by(lock_) = 0;
	// How many wait for a call to leave, and how many have left; that is
	// read without the lock too.
	u32 waiting_ __guarded_by(lock_) = 0;
	u64 left_ = 0;
	WaitQueue somebody_left_{left_class_};
};

} // namespace vfio
