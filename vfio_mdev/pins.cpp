// SPDX-License-Identifier: GPL-2.0
//
// How calls wait for each other; unpinning; looking up.
#include "pins.hpp"

#include "entry.h"
#include "vfio_mdev/shim/trace.h"
#include "vfio_mdev/shim/vfio_pin.h"

namespace vfio {

constinit LockClass Pins::lock_class_ = {"mdev_pins", {}};
constinit LockClass Pins::left_class_ = {"mdev_pins_left", {}};

namespace {

// How many pages at most are unpinned before the lock is released.
constexpr u64 kMostAtOnce = u64{1} << 18;

u64 offset_of(Iova iova)
{
	return iova.value >> kPageShift;
}

mdev_pin_run to_driver(const PinnedRun &run)
{
	return {run.first << kPageShift, run.npages, run.page.pfn().value, run.dma,
		static_cast<u32>(run.count)};
}

} // namespace

CORE_ENTRY int mdev_core_pins_create(vfio_device *vdev, device *dma_dev, u32 direction,
				     mdev_pins **pins)
{
	if (dma_dev && direction >= SHIM_DMA_NONE)
		return -EINVAL;

	Result<UniquePtr<Pins>> made = make<Pins>(vdev, dma_dev, direction);

	if (!made.ok())
		return made.error().negative();
	*pins = made.take().release();
	return 0;
}

Pins::~Pins()
{
	Call all(Call::Kind::kDrop, 0, PinIndex::kLastOffset);

	WARN_ONCE_IF(!calls_.empty(), "pins destroyed while somebody uses them");
	take(all, PinIndex::kLastOffset + 1);
}

CORE_ENTRY void mdev_pins_destroy(mdev_pins *pins)
{
	if (pins)
		destroy(&Pins::of(pins));
}

/* Calls. */

void Pins::enter_locked(Call &call)
{
	call.inside = true;
	calls_.push_back(call);
}

void Pins::leave_locked(Call &call)
{
	call.inside = false;
	calls_.remove(call);
	__atomic_store_n(&left_, left_ + 1, __ATOMIC_RELEASE);
	somebody_left_.wake_all();
}

// Whether a pin that was made to fail is still undoing its work in the range.
bool Pins::overlaps_dropped(const Call &call) const
{
	for (const Call &other : calls_)
		if (other.dropped && other.overlaps(call))
			return true;
	return false;
}

// Whether a call is under way that the drop must wait for.
bool Pins::waits_locked(const Call &drop) const
{
	for (const Call &other : calls_)
		if ((other.dropped || other.number < drop.number) && other.overlaps(drop))
			return true;
	return false;
}

// Waits until left_ is no longer `seen`, which the caller has read with the lock
// held. Returns false if a second has passed.
bool Pins::wait_until_one_leaves(u64 seen)
{
	const auto left = [this, seen] {
		return __atomic_load_n(&left_, __ATOMIC_ACQUIRE) != seen;
	};

	return somebody_left_.wait_until(left, 1);
}

void Pins::drop_pins_locked(const Call &drop)
{
	for (Call &other : calls_)
		if (other.kind == Call::Kind::kPin && other.overlaps(drop))
			other.dropped = true;
}

void Pins::wait_for_earlier(const Call &drop)
{
	u64 seen = 0;

	do {
		const WriteGuard guard(lock_);

		if (!waits_locked(drop))
			return;
		seen = left_;
	} while (wait_until_one_leaves(seen));
}

/* Unpinning. */

// Unpins pages from first on in the index, until kMostAtOnce were pinned or gone
// is full; returns how far it got. Appends to gone the pages that are not pinned
// any more, and adds to taken how many were pinned. A drop() takes all pins of a
// page, other calls take one.
u64 Pins::take_locked(const Call &call, u64 first, u64 npages, PinnedRuns &gone, u64 &taken)
{
	const Taken which = call.kind == Call::Kind::kDrop ? Taken::kAllPins : Taken::kOnePin;
	u64 done = 0;
	u64 handled = 0;

	while (handled < kMostAtOnce) {
		done += index_.absent_from(first + done, npages - done);
		if (done == npages)
			break;

		const u64 at = first + done;
		const u64 pinned =
			index_.pinned_from(at, min(npages - done, kMostAtOnce - handled));
		const u64 went = index_.take(at, pinned, which, gone);
		done += went;
		handled += went;
		if (went < pinned)
			break;
	}
	taken += handled;
	return done;
}

// Unpins the first pages of a call's range in turns: in the index with the lock
// held, through VFIO without. Returns how many were pinned. The call is not on
// calls_ afterwards.
u64 Pins::take(Call &call, u64 npages)
{
	u64 done = 0;
	u64 taken = 0;

	for (;;) {
		PinnedRuns gone;
		{
			const WriteGuard guard(lock_);

			if (!call.number)
				call.number = ++last_number_;
			if (call.kind == Call::Kind::kDrop && done < npages)
				drop_pins_locked(call);
			done += take_locked(call, call.first + done, npages - done, gone, taken);
			if (done == npages && gone.npages() == 0) {
				if (call.inside)
					leave_locked(call);
				return taken;
			}
			if (!call.inside)
				enter_locked(call);
		}
		release(gone);
	}
}

// Unmaps and unpins pages that are not in the index any more.
void Pins::release(const PinnedRuns &gone)
{
	u64 first = 0;
	u64 npages = 0;

	for (const PinnedRun &run : gone) {
		for (u64 i = 0; dma_dev_ && i < run.npages; i++)
			shim_dma_unmap(dma_dev_, run.dma + i * kPageSize, direction_);
		if (run.first != first + npages) {
			release_pages(first, npages);
			first = run.first;
			npages = 0;
		}
		npages += run.npages;
	}
	release_pages(first, npages);
}

void Pins::release_pages(u64 first, u64 npages)
{
	while (npages) {
		const u32 n = static_cast<u32>(min(npages, u64{SHIM_VFIO_PIN_MOST}));

		shim_vfio_unpin(vdev_, first << kPageShift, n);
		first += n;
		npages -= n;
	}
}

u64 Pins::unpin(Iova iova, u64 npages)
{
	const u64 first = offset_of(iova);

	npages = min(npages, PinIndex::kLastOffset - first + 1);
	if (!npages)
		return 0;

	Call call(Call::Kind::kUnpin, first, first + npages - 1);
	return take(call, npages);
}

CORE_ENTRY u64 mdev_pins_unpin(mdev_pins *pins, u64 iova, u64 npages)
{
	const u64 taken = Pins::of(pins).unpin({iova}, npages);

	shim_mdev_trace_unpin(iova, npages, taken);
	return taken;
}

u64 Pins::drop(Iova iova, u64 size)
{
	if (!size)
		return 0;

	const u64 last = size - 1 > kU64Max - iova.value ? kU64Max : iova.value + (size - 1);
	Call call(Call::Kind::kDrop, offset_of(iova), offset_of({last}));
	const u64 taken = take(call, call.last - call.first + 1);

	wait_for_earlier(call);
	return taken;
}

CORE_ENTRY u64 mdev_pins_drop(mdev_pins *pins, u64 iova, u64 length)
{
	const u64 taken = Pins::of(pins).drop({iova}, length);

	shim_mdev_trace_unpin(iova, length >> kPageShift, taken);
	return taken;
}

/* Looking up. */

bool Pins::find(Iova iova, mdev_pin_run &run) const
{
	const u64 first = offset_of(iova);
	PinnedRuns found;
	const ReadGuard guard(lock_);

	index_.list(first, first | (kPinSlotPages - 1), found);

	const bool pinned = found.npages() && found.begin()->first == first;

	run = pinned ? to_driver(*found.begin()) : mdev_pin_run{};
	return pinned;
}

CORE_ENTRY bool mdev_pins_find(mdev_pins *pins, u64 iova, mdev_pin_run *run)
{
	return Pins::of(pins).find({iova}, *run);
}

int Pins::for_each(Iova iova, Iova last, int (*visit)(const mdev_pin_run *run, void *arg),
		   void *arg) const
{
	const ReadGuard guard(lock_);
	u64 at = offset_of(iova);

	while (at <= offset_of(last)) {
		PinnedRuns found;

		at = index_.list(at, offset_of(last), found);
		for (const PinnedRun &each : found) {
			const mdev_pin_run run = to_driver(each);

			if (const int result = visit(&run, arg))
				return result;
		}
	}
	return 0;
}

CORE_ENTRY int mdev_pins_for_each(mdev_pins *pins, u64 iova, u64 last,
				  int (*visit)(const mdev_pin_run *run, void *arg), void *arg)
{
	return Pins::of(pins).for_each({iova}, {last}, visit, arg);
}

u64 Pins::npages() const
{
	const ReadGuard guard(lock_);

	return index_.npages();
}

CORE_ENTRY u64 mdev_pins_npages(mdev_pins *pins)
{
	return Pins::of(pins).npages();
}

u64 Pins::bytes() const
{
	const ReadGuard guard(lock_);

	return sizeof(*this) + index_.bytes();
}

CORE_ENTRY u64 mdev_pins_bytes(mdev_pins *pins)
{
	return Pins::of(pins).bytes();
}

} // namespace vfio
