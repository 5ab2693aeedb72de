// SPDX-License-Identifier: GPL-2.0
//
// Calls and how they wait for each other; unpinning; looking up.
#include "pins.hpp"

#include "entry.h"
#include "vfio_mdev/shim/vfio_pin.h"

namespace vfio {

constinit LockClass Pins::lock_class_ = {"mdev_pins", {}};
constinit LockClass Pins::left_class_ = {"mdev_pins_left", {}};

namespace {

// Pages that are handled in a row with the lock held.
constexpr u64 kMostAtOnce = u64{1} << 18;

u64 offset_of(Iova iova)
{
	return iova.value >> kPageShift;
}

mdev_core_pin_run told(const PinnedRun &run)
{
	return {run.first << kPageShift, run.npages, run.page & kPinPfnMask, run.dma,
		static_cast<u32>(run.count)};
}

} // namespace

Result<UniquePtr<Pins>> Pins::create(vfio_device *vdev, device *dma_dev, u32 direction)
{
	if (dma_dev && direction >= SHIM_DMA_NONE)
		return Error(EINVAL);
	return make<Pins>(vdev, dma_dev, direction);
}

Pins::~Pins()
{
	Call all(0, PinIndex::kLastOffset, false);

	WARN_ONCE_IF(!calls_.empty(), "pins destroyed while somebody uses them");
	take<DroppedRuns>(all, PinIndex::kLastOffset + 1);
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
	if (waiting_)
		somebody_left_.wake_all();
}

bool Pins::overlaps_dropped(const Call &call) const
{
	for (const Call &other : calls_)
		if (other.dropped && other.overlaps(call))
			return true;
	return false;
}

// Whether a call is under way that the drop has made fail, or that came before.
bool Pins::earlier_in(const Call &drop) const
{
	for (const Call &other : calls_)
		if ((other.dropped || other.number < drop.number) && other.overlaps(drop))
			return true;
	return false;
}

struct Pins::SeenLeft {
	const Pins &pins;
	u64 seen;
};

bool Pins::has_left(const void *seen)
{
	const auto &before = *static_cast<const SeenLeft *>(seen);

	return __atomic_load_n(&before.pins.left_, __ATOMIC_ACQUIRE) != before.seen;
}

// For whoever counts as waiting since left_ was seen. False if it took long.
bool Pins::wait_for_one(u64 seen)
{
	constexpr unsigned int kSeconds = 1;
	const SeenLeft before{*this, seen};
	const int woken =
		shim_waitq_wait(&somebody_left_.shim(), has_left, &before, kSeconds, false);
	const WriteGuard guard(lock_);

	waiting_--;
	return woken != 0;
}

void Pins::drop_pins_locked(const Call &drop)
{
	for (Call &other : calls_)
		if (other.pins && other.overlaps(drop))
			other.dropped = true;
}

void Pins::wait_for_earlier(const Call &drop)
{
	u64 seen = 0;

	do {
		const WriteGuard guard(lock_);

		if (!earlier_in(drop))
			return;
		waiting_++;
		seen = left_;
	} while (wait_for_one(seen));
}

/* Unpinning. */

// Takes some of the pages off the index; returns how far it got.
template <class Gone> u64 Pins::take_locked(u64 first, u64 npages, Gone &gone, u64 &taken)
{
	u64 done = 0;
	u64 handled = 0;

	while (handled < kMostAtOnce) {
		done += index_.absent_from(first + done, npages - done);
		if (done == npages)
			break;

		const u64 pinned =
			index_.pinned_from(first + done, min(npages - done, kMostAtOnce - handled));
		const u64 went = index_.unpin(first + done, pinned, gone);
		done += went;
		handled += went;
		if (went < pinned)
			break;
	}
	taken += handled;
	return done;
}

// Takes pages off from the call's first on, and lets go of them. The call has
// left in the end.
template <class Gone> u64 Pins::take(Call &call, u64 npages)
{
	u64 done = 0;
	u64 taken = 0;

	for (;;) {
		Gone gone;
		{
			const WriteGuard guard(lock_);

			if (!call.number)
				call.number = ++last_number_;
			if (Gone::kWholly && done < npages)
				drop_pins_locked(call);
			done += take_locked(call.first + done, npages - done, gone, taken);
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

template u64 Pins::take<PinnedRuns>(Call &call, u64 npages);

// Lets go of pages that are in the index no more.
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

	Call call(first, first + npages - 1, false);
	return take<PinnedRuns>(call, npages);
}

u64 Pins::drop(Iova iova, u64 size)
{
	if (!size)
		return 0;

	const u64 last = size - 1 > kU64Max - iova.value ? kU64Max : iova.value + (size - 1);
	Call call(offset_of(iova), offset_of({last}), false);
	const u64 taken = take<DroppedRuns>(call, call.last - call.first + 1);

	wait_for_earlier(call);
	return taken;
}

/* Looking up. */

bool Pins::find(Iova iova, mdev_core_pin_run &run) const
{
	const u64 first = offset_of(iova);
	PinnedRuns found;
	const ReadGuard guard(lock_);

	index_.list(first, first | (kPinSlotPages - 1), found);
	if (!found.npages() || found.begin()->first != first)
		return false;
	run = told(*found.begin());
	return true;
}

int Pins::for_each(Iova iova, Iova last, int (*visit)(const mdev_core_pin_run *run, void *arg),
		   void *arg) const
{
	const ReadGuard guard(lock_);
	u64 at = offset_of(iova);

	while (at <= offset_of(last)) {
		PinnedRuns found;

		at = index_.list(at, offset_of(last), found);
		for (const PinnedRun &each : found) {
			const mdev_core_pin_run run = told(each);

			if (const int result = visit(&run, arg))
				return result;
		}
	}
	return 0;
}

u64 Pins::npages() const
{
	const ReadGuard guard(lock_);

	return index_.npages();
}

u64 Pins::bytes() const
{
	const ReadGuard guard(lock_);

	return sizeof(*this) + index_.bytes();
}

} // namespace vfio
