// SPDX-License-Identifier: GPL-2.0
#include "refresh.hpp"

#include "dma/shim/worker.h"
#include "shim/alloc.h"
#include "shim/lock.h"

namespace vfio {

// In an atomic context pages are mapped one by one.
Refresh::Refresh(NestedDomain &nested, u64 npages, Context context)
	: nested_(nested), memory_(nested.memory_), context_(context), reader_(nested.memory_),
	  unmapper_(nested.domain_, nullptr),
	  entries_(npages && context == Context::kSleeps ? npages : 1)
{
	static_assert(SHIM_MAX_RUNS * sizeof(PinRun) <= kPageSize);
	nested_.lock_.assume_held();

	if (context == Context::kAtomic) {
		nested_.pages_.draw_from(&nested_.reserve_);
		return;
	}
	if (npages <= 1)
		return;
	scratch_ = shim_alloc_page();
	void *runs = scratch_ ? shim_alloc_page() : nullptr;
	if (runs) {
		runs_ = static_cast<PinRun *>(runs);
		run_room_ = SHIM_MAX_RUNS;
	}
}

Refresh::~Refresh()
{
	nested_.lock_.assume_held();
	nested_.pages_.draw_from(nullptr);
	if (scratch_)
		shim_free_page(scratch_);
	if (runs_ != &one_run_)
		shim_free_page(runs_);
}

template <class Format> Refreshed Refresh::run(const GuestTable &table, IovaRange range)
{
	if (!memory_.lock.take_shared(context_))
		return {Refreshed::Outcome::kDeferred};

	const ReadGuard guard(memory_.lock, AlreadyTaken{});
	TableWalk<Format, Refresh> walk(reader_, *this);
	const WalkFault fault = walk.walk(table, range);

	if (fault != WalkFault::kNone)
		result_ = {Refreshed::Outcome::kFault, fault, walk.where()};
	result_.more = sliced_ && result_.at <= range.last && result_.at > range.first;
	return result_;
}

template Refreshed Refresh::run<S390Format>(const GuestTable &, IovaRange);
template Refreshed Refresh::run<VtdFormat>(const GuestTable &, IovaRange);

Result<void> Refresh::map_direct(IovaRange gpas, u64 offset)
{
	nested_.lock_.assume_held();

	// A mapping goes as a whole, so that the IOMMU may use its largest pages, which are
	// no larger than a call.
	constexpr u64 kCallPages = u64{1} << 18;
	static_assert(kCallPages << kPageShift < u64{1} << 32, "a list's runs are smaller");
	const ReadGuard guard(memory_.lock);
	const Frames frames{nullptr, guest_page(gpas.first.value, kReadWrite)};

	if (!map((gpas.first.value + offset) >> kPageShift, frames, gpas.npages(), kCallPages))
		return Error(EFAULT);
	if (result_.outcome == Refreshed::Outcome::kNoRoom)
		return Error(ENOMEM);
	return {};
}

// Ends the walk because of a page.
bool Refresh::fail(WalkFault fault, u64 page)
{
	result_ = {Refreshed::Outcome::kFault, fault, {page << kPageShift}};
	return false;
}

// Ends the walk because a caller who may not wait can do no more.
bool Refresh::defer()
{
	result_.outcome = Refreshed::Outcome::kDeferred;
	return false;
}

// Notes that there is no room for a page: nothing is mapped from now on, but what is invalid
// is unmapped. Returns whether the walk goes on. A caller who may wait may find more room.
bool Refresh::no_room()
{
	if (context_ == Context::kAtomic)
		return defer();
	result_.outcome = Refreshed::Outcome::kNoRoom;
	return true;
}

// Called after each piece of a table; next is where the following one begins. Lets other
// threads have the guest's memory now and then. Returns false if the caller is killed.
bool Refresh::breathe(Iova next)
{
	static_assert(2 * NestedDomain::kMostAtomicPages < kPiecesAtOnce,
		      "in an atomic context there are so few that this does not wait");

	if (++pieces_ % kPiecesAtOnce)
		return true;
	if (pieces_ >= kPiecesASlice) {
		result_.at = next;
		sliced_ = true;
		return false;
	}
	{
		const ReadUnguard unlocked(memory_.lock);

		shim_cond_resched();
	}
	reader_.forget();
	if (!shim_killed())
		return true;
	result_ = {Refreshed::Outcome::kInterrupted, WalkFault::kNone, next};
	return false;
}

bool Refresh::is_large(u64 page) const
{
	return !nested_.large_.empty() && nested_.large_.pinned_from(page / nested_.unit_pages_, 1);
}

// Takes units that are inside a range out of large_.
void Refresh::take_large(u64 first, u64 npages)
{
	const u64 unit = nested_.unit_pages_;
	const u64 end = (first + npages) / unit;

	for (u64 at = (first + unit - 1) / unit; at < end;) {
		__uninitialized UnpinnedSpans gone;

		at += nested_.large_.take(at, end - at, Taken::kAllPins, gone);
	}
}

// Takes mapped pages out of the record. Returns how many of npages it went through.
u64 Refresh::take(u64 first, u64 npages, UnpinnedSpans &gone)
{
	gone.clear();
	return nested_.pages_.take(first, npages, Taken::kAllPins, gone);
}

// Unmaps pages that have been taken out of the record.
void Refresh::unmap(const UnpinnedSpans &gone)
{
	for (const UnpinnedSpans::Span &span : gone)
		unmapper_.unmap({{span.first << kPageShift},
				 {((span.first + span.npages) << kPageShift) - 1}});
	nested_.statistics_.unmapped += gone.npages();
}

void Refresh::unmap(u64 first, u64 npages)
{
	nested_.lock_.assume_held();

	__uninitialized UnpinnedSpans gone;

	if (!nested_.large_.empty())
		take_large(first, npages);
	for (u64 done = 0; done < npages;) {
		done += take(first + done, npages - done, gone);
		if (gone.npages() == 0)
			continue;
		unmap(gone);
		shim_cond_resched();
	}
}

// Unmaps what is mapped of pages. Returns false if the caller may not unmap, and some are.
bool Refresh::clear(u64 first, u64 npages)
{
	if (context_ == Context::kAtomic)
		return nested_.pages_.absent_from(first, npages) == npages || defer();
	unmap(first, npages);
	return true;
}

bool Refresh::gone(IovaRange range)
{
	nested_.lock_.assume_held();
	memory_.lock.assume_held_shared();

	return clear(range.first.value >> kPageShift, range.npages()) && breathe(range.last + 1);
}

bool Refresh::pages(Iova iova, u32 count)
{
	nested_.lock_.assume_held();
	memory_.lock.assume_held_shared();

	const u64 first = iova.value >> kPageShift;
	const PinPage *const entries = entries_.entries();

	// If a large frame has become a page table that says something else, the hardware's
	// large page goes, and with it all pages of the unit. The first call for the unit is
	// for its first page; if it is not for all pages, the others are not known yet.
	if (is_large(first) && (count < nested_.unit_pages_ ||
				nested_.pages_.compare(first, count, entries).same < count)) {
		const u64 unit = nested_.unit_pages_;

		unmap(first / unit * unit, unit);
	}
	for (u32 done = 0; done < count;) {
		const PinDifference found =
			nested_.pages_.compare(first + done, count - done, entries + done);

		done += found.same;
		if (!found.differ)
			continue;
		if (found.recorded && !clear(first + done, found.differ))
			return false;
		if (!map_present(first + done, entries + done, found.differ))
			return false;
		done += found.differ;
	}
	return breathe(iova + count * kPageSize);
}

// Maps those of pages that the table maps; none is mapped yet.
bool Refresh::map_present(u64 first, const PinPage *pages, u32 npages)
{
	for (u32 done = 0; done < npages;) {
		if (!pages[done].value) {
			done++;
			continue;
		}

		u32 end = done + 1;
		while (end < npages && pages[end].value)
			end++;
		if (!map(first + done, {pages + done, {}}, end - done, nested_.call_pages_))
			return false;
		done = end;
	}
	return true;
}

bool Refresh::frame(IovaRange part, u64 address, u32 prot)
{
	nested_.lock_.assume_held();
	memory_.lock.assume_held_shared();

	const u64 unit_pages = nested_.frame_pages_;
	const u64 npages = part.npages();
	u64 first = part.first.value >> kPageShift;
	PinPage page = guest_page(address, prot);

	if (!prot)
		return gone(part);
	for (u64 left = npages; left;) {
		const u64 n = min(left, unit_pages - first % unit_pages);

		if (!unit(first, n, page))
			return false;
		first += n;
		page = page + n;
		left -= n;
		if (!breathe({first << kPageShift}))
			return false;
	}
	return true;
}

// Makes pages of one unit agree with contiguous guest frames from a page on.
bool Refresh::unit(u64 first, u64 npages, PinPage page)
{
	__uninitialized PinnedRuns found;

	nested_.pages_.list(first, first + npages - 1, found);
	if (found.npages() == npages && found.begin()->npages == npages &&
	    found.begin()->page == page)
		return true;

	const bool large = nested_.unit_pages_ == npages;
	if (!clear(first, npages))
		return false;
	if (!large || result_.outcome == Refreshed::Outcome::kNoRoom)
		return map(first, {nullptr, page}, npages, nested_.call_pages_);
	if (!nested_.large_.insert_run(first / npages, 1, PinPage{0}).ok())
		return no_room();

	const bool mapped = map(first, {nullptr, page}, npages, npages);
	if (mapped && result_.outcome != Refreshed::Outcome::kNoRoom)
		return true;
	unmap(first, npages);
	if (mapped)
		return true;

	// A page of the frame is wrong. Those before it are refreshed, as pages: a later refresh
	// that finds the frame right unmaps them one by one.
	const Refreshed failed = result_;

	result_ = {};
	(void)map(first, {nullptr, page}, (failed.at.value >> kPageShift) - first,
		  nested_.call_pages_);
	result_ = failed;
	return false;
}

// Maps pages that are not mapped, and records them. No call of the IOMMU crosses a multiple of
// call_pages, a power of two. Returns false if the walk must stop.
bool Refresh::map(u64 first, Frames frames, u64 npages, u64 call_pages)
{
	if (result_.outcome == Refreshed::Outcome::kNoRoom)
		return true;
	if (!record(first, frames, npages))
		return no_room();

	bool goes_on = true;
	u64 done = 0;
	while (done < npages) {
		const u64 most = min(npages - done, call_pages - (first + done) % call_pages);
		WalkFault fault = WalkFault::kNone;
		u32 prot = 0;
		const u64 n = resolve(frames.from(done), most, prot, fault);

		if (n == 0 || !map_resolved(first + done, n, prot)) {
			goes_on = n ? no_room() : fail(fault, first + done);
			break;
		}
		done += n;
		// A direct mapping may be very large.
		if (context_ == Context::kSleeps && done < npages)
			shim_cond_resched();
	}
	nested_.statistics_.mapped += done;

	// The rest is not mapped.
	while (done < npages) {
		__uninitialized UnpinnedSpans gone;

		done += take(first + done, npages - done, gone);
	}
	return goes_on;
}

// Records pages that are about to be mapped. Returns false if there is no room.
bool Refresh::record(u64 first, Frames frames, u64 npages)
{
	if (nested_.pages_.npages() + npages > nested_.page_limit())
		return false;
	return frames.array ? nested_.pages_.insert(first, npages, frames.array).ok() :
			      nested_.pages_.insert_run(first, npages, frames.first).ok();
}

// Collects the host memory behind guest frames in runs_, as far as it can be mapped by one
// call, with prot. Returns for how many pages; for none if the first has a fault. Not inlined, so
// that the loop has all registers.
[[gnu::noinline]] u64 Refresh::resolve(Frames frames, u64 npages, u32 &prot, WalkFault &fault)
{
	// What is written to runs might be a member, for all that the compiler knows.
	PinRun *const runs = runs_;
	const PinRun *const full = runs + run_room_;
	PinRun *end = runs;
	u64 done = 0;

	while (done < npages) {
		const PinPage page = frames.at(done);
		u32 permitted = 0;
		const PinRun host = reader_.find(guest_address(page), permitted);
		const u32 access = guest_access(page) & permitted;

		if (access == 0) [[unlikely]] {
			fault = permitted ? WalkFault::kProtection : WalkFault::kEntry;
			break;
		}
		if (access != prot) {
			if (done)
				break;
			prot = access;
		}

		u64 n = 1;
		while (n < host.npages() && done + n < npages && frames.at(done + n) == page + n)
			n++;

		const PinRun run(host.first_page(), n);
		// Memory without struct pages cannot be in a list with other memory.
		if (!run.pinned()) [[unlikely]] {
			if (end == runs) {
				*end++ = run;
				done = n;
			}
			break;
		}
		if (end == runs || !end[-1].extend(run)) {
			if (end == full)
				break;
			*end++ = run;
		}
		done += n;
	}
	run_count_ = static_cast<u32>(end - runs);
	return done;
}

// Maps what resolve() has collected. Returns false if there is no room.
bool Refresh::map_resolved(u64 first, u64 npages, u32 prot)
{
	iommu_domain *const domain = nested_.domain_;
	const u64 iova = first << kPageShift;
	// All DMA snoops the CPU's caches, as userspace has no way to write them back.
	const u32 access = prot | SHIM_IOMMU_CACHE;
	const u64 phys = phys_of(runs_->first()).value;

	if (context_ == Context::kAtomic)
		return !shim_domain_map_atomic(domain, iova, phys, npages * kPageSize, access);
	if (run_count_ == 1)
		return !shim_domain_map(domain, iova, phys, npages * kPageSize, access);
	return !shim_domain_map_runs(domain, iova, runs_->shim(), run_count_, access, scratch_);
}

} // namespace vfio
