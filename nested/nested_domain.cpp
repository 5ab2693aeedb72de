// SPDX-License-Identifier: GPL-2.0
#include "nested_domain.hpp"

#include "refresh.hpp"
#include "shim/lock.h"

namespace vfio {

constinit LockClass NestedDomain::lock_class_ = {"nested_domain", {}};

namespace {

// How many pages one call may map so that the IOMMU uses no page larger than kPageSize
// for them, whatever lies behind: a power of two.
constexpr u64 small_call_pages(u64 large_sizes)
{
	constexpr u64 kMost = u64{1} << 18;

	return large_sizes ? min(kMost, (large_sizes & -large_sizes) / 2 / kPageSize) : kMost;
}

static_assert(small_call_pages(0x4020'0000) == 256);
static_assert(small_call_pages(~u64{0x1fff}) == 1);

} // namespace

NestedDomain::NestedDomain(iommu_domain *domain, GuestMemory &memory)
	: domain_(domain), memory_(memory),
	  large_sizes_(shim_domain_pgsize_bitmap(domain) & ~(2 * kPageSize - 1)),
	  call_pages_(small_call_pages(large_sizes_))
{
}

Refreshed NestedDomain::refresh(const GuestTable &table, IovaRange range, Context context)
{
	if (!lock_.take(context))
		return {Refreshed::Outcome::kDeferred};

	const WriteGuard guard(lock_, AlreadyTaken{});
	return table.format == GuestTable::Format::kS390 ? run<S390Format>(table, range, context) :
							   run<VtdFormat>(table, range, context);
}

template <class Format>
Refreshed NestedDomain::run(const GuestTable &table, IovaRange range, Context context)
{
	if (large_.empty()) {
		constexpr u64 kUnit = u64{1} << Format::shift(Format::kLargeLevel);

		frame_pages_ = kUnit / kPageSize;
		// Without a large page that fits into a unit, no unit is mapped by one.
		unit_pages_ = large_sizes_ & (2 * kUnit - 1) ? frame_pages_ : 0;
	} else {
		// What was mapped as a whole is refreshed as a whole.
		const u64 unit = unit_pages_ * kPageSize;

		if (large_.pinned_from(range.first.value / unit, 1))
			range.first.value &= ~(unit - 1);
		if (large_.pinned_from(range.last.value / unit, 1))
			range.last.value |= unit - 1;
	}

	if (context == Context::kAtomic) {
		reserve_wanted_ = true;
		if (range.npages() > kMostAtomicPages || !reserve_.ready())
			return {Refreshed::Outcome::kDeferred};
	} else if (reserve_wanted_) {
		reserve_.fill();
	}

	__uninitialized Refresh refresh(*this, range.npages(), context);
	return refresh.run<Format>(table, range);
}

Result<void> NestedDomain::map_direct(IovaRange gpas, u64 offset)
{
	const WriteGuard guard(lock_);
	Refresh refresh(*this, gpas.npages(), Context::kSleeps);

	return refresh.map_direct(gpas, offset);
}

// Unmaps pages, and with them all of a unit that is mapped as a whole.
void NestedDomain::forget_units(Refresh &refresh, u64 first, u64 npages)
{
	u64 end = first + npages;

	if (!large_.empty()) {
		const u64 unit = unit_pages_;

		if (large_.pinned_from(first / unit, 1))
			first = first / unit * unit;
		if (large_.pinned_from((end - 1) / unit, 1))
			end = (end + unit - 1) / unit * unit;
	}
	refresh.unmap(first, end - first);
}

// Unmaps those pages whose memory is not known, of pages that are mapped to contiguous
// guest frames.
void NestedDomain::forget_unknown_part(Refresh &refresh, u64 first, u64 npages, PinPage page)
{
	const u64 gpa = guest_address(page);

	for (u64 done = 0; done < npages;) {
		const IovaRange rest{{gpa + done * kPageSize}, {gpa + npages * kPageSize - 1}};
		const GuestMapping *const known = memory_.first_in(rest);
		const u64 unknown =
			known ? (max(known->range().first, rest.first) - rest.first) >> kPageShift :
				npages - done;

		if (unknown)
			forget_units(refresh, first + done, unknown);
		if (!known)
			return;
		done = ((known->range().last - Iova{gpa}) >> kPageShift) + 1;
	}
}

void NestedDomain::forget_unknown()
{
	const WriteGuard guard(lock_);
	Refresh refresh(*this, 0, Context::kSleeps);

	for (u64 first = 0; first <= PinIndex::kLastOffset;) {
		PinnedRuns found;

		first = pages_.list(first, PinIndex::kLastOffset, found);
		{
			const ReadGuard memory(memory_.lock);
			// Most pages lead to one mapping after the other.
			const GuestMapping *known = nullptr;

			for (const PinnedRun &run : found) {
				const u64 gpa = guest_address(run.page);
				const IovaRange gpas{{gpa}, {gpa + run.npages * kPageSize - 1}};

				if (!known || !known->range().contains(gpas))
					known = memory_.find(gpa);
				if (!known || !known->range().contains(gpas))
					forget_unknown_part(refresh, run.first, run.npages,
							    run.page);
			}
		}
		shim_cond_resched();
	}
}

void NestedDomain::cut(iommu_group *group)
{
	const WriteGuard guard(lock_);

	shim_domain_detach(domain_, group);
}

Result<void> NestedDomain::restore(iommu_group *group)
{
	const WriteGuard guard(lock_);

	return Result<void>::from_negative(shim_domain_attach(domain_, group));
}

void NestedDomain::clear()
{
	const WriteGuard guard(lock_);
	Refresh refresh(*this, 0, Context::kSleeps);

	if (!pages_.empty())
		refresh.unmap(0, PinIndex::kLastOffset + 1);
}

NestedDomain::Statistics NestedDomain::statistics()
{
	const ReadGuard guard(lock_);

	return statistics_;
}

u64 NestedDomain::npages()
{
	const ReadGuard guard(lock_);

	return pages_.npages();
}

u64 NestedDomain::bytes()
{
	const ReadGuard guard(lock_);

	return pages_.bytes() + large_.bytes() + reserve_.bytes();
}

} // namespace vfio
