// SPDX-License-Identifier: GPL-2.0
//
// DmaRange: one mapping as userspace has made it: the IOVAs [first, last] stand for
// the owner's memory from a user address on.
//
// If the address space has hardware domains, all pages are pinned (pins) and mapped
// in each domain (iommu_mapped). Pages that devices have pinned themselves are
// external pages, with domains or without (external).
//
// charged is how many pages the owner is charged for. With hardware domains these are
// all pages that counted when they were pinned; without, the external pages that
// count, or fewer if the caller was killed while they were charged.
//
// DmaTree says what busy and held mean. A mapping is leaving while devices are asked
// to unpin it; it takes no new pins then. A busy mapping belongs to the caller that
// maps or unmaps it; in others DmaTree's lock guards all that is not constant.
#pragma once

#include "dirty_bitmap.hpp"
#include "external_pins.hpp"
#include "owner.hpp"
#include "pin_runs.hpp"
#include "remapped_pages.hpp"
#include "vocab/atomic.hpp"
#include "vocab/list.hpp"
#include "vocab/range_tree.hpp"

namespace vfio {

// The first address of a page. Drivers may name a page by any address in it.
constexpr Iova page_at(Iova iova)
{
	return {iova.value & kPageMask};
}

// The list of mappings with memory that has no struct pages (borrowed.cpp).
struct Borrowing;

class DmaRange : public RangeNode<DmaRange>, public ListNode<DmaRange>, public ListNode<Borrowing> {
public:
	// The memory of all objects, of which a container may have 65535. The module creates the slab
	// when it is loaded.
	static shim_slab slab;

	DmaRange(IovaRange range, UserVa uva, u32 prot) : range_(range), uva_(uva), prot_(prot)
	{
	}

	// Unpins what a faulty driver has not, and uncharges the owner.
	~DmaRange();

	IovaRange range() const
	{
		return range_;
	}

	u32 prot() const
	{
		return prot_;
	}

	bool writable() const
	{
		return prot_ & SHIM_IOMMU_WRITE;
	}

	bool readable() const
	{
		return prot_ & SHIM_IOMMU_READ;
	}

	Owner &owner() const
	{
		return *owner_;
	}

	// Called once, before anything is charged.
	void set_owner(const RefPtr<Owner> &owner)
	{
		owner_ = owner;
	}

	UserVa uva_of(Iova iova) const
	{
		return uva_ + (iova - range_.first);
	}

	// Makes owner, in which the same memory is at uva, the owner, and moves the
	// charge to it. Errors: those of charging; the old owner stays then.
	Result<void> change_owner(const RefPtr<Owner> &owner, UserVa uva);

	u64 charged() const
	{
		return charged_;
	}

	// Charges the owner for pages of this range. Errors: ENOMEM, EINTR.
	Result<void> charge(u64 npages);

	// Notes that the caller has charged the owner for npages pages of this range.
	void note_charge(u64 npages)
	{
		charged_ += npages;
	}

	// Returns for how many of npages pages the caller must uncharge the owner: for
	// fewer if not all are charged.
	u64 note_uncharge(u64 npages)
	{
		npages = min(npages, charged_);
		charged_ -= npages;
		return npages;
	}

	// Uncharges the owner for all but npages pages.
	void uncharge_to(u64 npages)
	{
		owner_->uncharge(note_uncharge(charged_ - min(npages, charged_)));
	}

	// Charges the owner for the external pages and no others. These may be more
	// pages than before: one that did not count when all were pinned may have been
	// replaced by one that does.
	void charge_external_alone();

	// A page's index in the mapping, from 0 on; iova_of() is the inverse.
	u64 page_index(Iova iova) const
	{
		return (iova - range_.first) >> kPageShift;
	}

	Iova iova_of(u64 page_index) const
	{
		return range_.first + (page_index << kPageShift);
	}

	// How many pages the mapping has from iova on.
	u64 npages_from(Iova iova) const
	{
		return ((range_.last - iova) >> kPageShift) + 1;
	}

	// Marks pages dirty; a bit stands for 1 << pgshift bytes. If there is no memory
	// for the bits, the whole mapping becomes dirty.
	void mark_dirty(IovaRange part, unsigned int pgshift);
	// Marks those of npages pages that are external, first being an index. Not
	// inlined into unpinning, because it needs a large frame.
	[[gnu::noinline]] void mark_pinned_dirty(u64 first, u64 npages, unsigned int pgshift);
	void mark_all_dirty()
	{
		all_dirty_ = true;
		all_dirty_part_ = range_;
	}

	// Ors the dirty bits of part, which begins and ends at pages, into words, the
	// first of them into bit shift. External pages are dirty, too.
	void collect_dirty(IovaRange part, unsigned int pgshift, u64 *words, u64 shift) const;
	void clear_dirty(IovaRange part, unsigned int pgshift)
	{
		if (all_dirty_) [[unlikely]]
			clear_all_dirty(part);
		if (!dirty_.empty())
			dirty_.clear((part.first - range_.first) >> pgshift,
				     ((part.last - part.first) >> pgshift) + 1);
	}
	void forget_dirty();

	// Whether a page is marked dirty.
	bool dirty_recorded() const
	{
		return all_dirty_ || !dirty_.empty();
	}

	// What follows is about what the domains have: what is pinned, or what a driver has put in
	// its place.

	// Whether parts of it may be in no domain, or be mapped anew. It is mapped and unmapped
	// under DomainSet's borrowed_lock_ then.
	bool changes_in_parts() const
	{
		return remapped || has_borrowed;
	}

	// All pages, by their indexes.
	RemappedPages::Span all_pages() const
	{
		return {0, range_.npages() - 1};
	}

	// Calls visit(array of runs, count) in order, until it returns an error. Always inlined, as the
	// two below: with callers' lambdas the functions' names would be longer than objtool allows.
	template <class F> [[gnu::always_inline]] Result<void> try_each_array(F visit) const
	{
		if (remapped) [[unlikely]]
			return remapped->try_each(all_pages(), visit);
		return pins.try_each_array(visit);
	}

	// Calls visit(first IOVA, run), which may change the kind, for each run, in order.
	template <class F> void each_run(F visit)
	{
		Iova at = range_.first;
		const auto next = [&](PinRun &run) {
			visit(at, run);
			at = at + run.npages() * kPageSize;
		};

		if (remapped)
			remapped->each_mutable(all_pages(), next);
		else
			pins.each_mutable(next);
	}

	// Calls visit(range) for each part that is not shut, in order.
	template <class F> [[gnu::always_inline]] void each_open_part(F visit) const
	{
		OpenParts parts(range_.first, visit);

		(void)try_each_array([&](const PinRun *runs, u32 count) -> Result<void> {
			parts.add(runs, count);
			return {};
		});
		parts.finish();
	}

	// The same, of some pages. Requires that they are whole pieces of what was remapped.
	template <class F>
	[[gnu::always_inline]] void each_open_part_of(RemappedPages::Span span, F visit) const
	{
		OpenParts parts(iova_of(span.first), visit);

		(void)remapped->try_each(span, [&](const PinRun *runs, u32 count) -> Result<void> {
			parts.add(runs, count);
			return {};
		});
		parts.finish();
	}

	PinRuns pins;
	ExternalPins external;
	u32 held = 0;
	bool iommu_mapped = false;
	// Whether there are runs without struct pages.
	bool has_borrowed = false;
	// What the domains have instead of pins, once a driver has remapped a page; nullptr before.
	// Changes in a busy mapping, or under DmaTree's lock and DomainSet's borrowed_lock_; what
	// it has changes under the latter.
	UniquePtr<RemappedPages> remapped;
	bool vaddr_invalid = false;
	bool leaving = false;
	// Set under DmaTree's lock, cleared by the caller that has made it busy.
	Atomic<bool> busy{false};

private:
	// Joins runs, which follow each other from an address on, to parts that are not shut.
	template <class F> class OpenParts {
	public:
		OpenParts(Iova at, F &visit) : at_(at), visit_(visit)
		{
		}

		void add(const PinRun *runs, u32 count)
		{
			for (u32 i = 0; i < count; i++) {
				const IovaRange next = runs[i].at(at_);

				at_ = next.last + 1;
				if (runs[i].shut()) {
					finish();
					continue;
				}
				part_ = {any_ ? part_.first : next.first, next.last};
				any_ = true;
			}
		}

		void finish()
		{
			if (any_)
				visit_(part_);
			any_ = false;
		}

	private:
		Iova at_;
		F &visit_;
		IovaRange part_ = {};
		bool any_ = false;
	};

	void clear_all_dirty(IovaRange part);

	// Whether all pages of all_dirty_part_ are dirty, whatever the bits say. A
	// report proceeds upwards, piece by piece, and each piece is cut off the part.
	bool all_dirty_ = false;
	const IovaRange range_;
	UserVa uva_;
	RefPtr<Owner> owner_;
	DirtyBitmap dirty_;
	IovaRange all_dirty_part_ = {};
	u64 charged_ = 0;
	const u32 prot_;
};

} // namespace vfio
