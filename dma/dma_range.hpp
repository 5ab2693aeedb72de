// SPDX-License-Identifier: GPL-2.0
//
// DmaRange: one mapping as userspace has made it: the IOVAs [first, last] stand for
// the owner's memory from a user address on.
//
// If the address space has hardware domains, all pages are pinned (pins) and mapped
// in each domain (iommu_mapped). Pages that devices have pinned themselves are
// external pages, with domains or without. They are in a PinIndex, where a page's
// mark is its PinKind.
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
#include "owner.hpp"
#include "pin_index/pin_index.hpp"
#include "pin_runs.hpp"
#include "vocab/atomic.hpp"
#include "vocab/list.hpp"
#include "vocab/range_tree.hpp"

namespace vfio {

// The page that an address is in: drivers may name it by any.
constexpr Iova page_at(Iova iova)
{
	return {iova.value & kPageMask};
}

// Pages of a dma range that a device pins.
struct ExternalPages {
	Iova first;
	u64 npages;
	// Room for their handles, and for what they are: pfns with their kinds.
	u64 *handles;
	u64 *words;
	// All contiguous and of one kind: there is only the first word.
	bool run = false;
	// How many count.
	u64 counted = 0;
};

class DmaRange : public RangeNode<DmaRange>, public ListNode<DmaRange> {
public:
	DmaRange(IovaRange range, UserVa uva, u32 prot)
		: refused_(~prot & ~kLeaving), range_(range), uva_(uva), prot_(prot)
	{
	}

	// Devices unpin their pages before they are closed. Pages that a faulty driver
	// has not unpinned are unpinned here.
	~DmaRange()
	{
		if (has_external() || charged_) [[unlikely]]
			let_all_go();
	}

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

	// Whether devices may pin it for prot now.
	bool takes_pins(u32 prot) const
	{
		return !(refused_ & (prot | kLeaving));
	}

	bool leaving() const
	{
		return refused_ & kLeaving;
	}

	void set_leaving(bool leaving)
	{
		refused_ = leaving ? refused_ | kLeaving : refused_ & ~kLeaving;
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

	// Charges the owner for pages of this range. Errors: ENOMEM, EINTR.
	Result<void> charge(u64 npages);

	// Uncharges the owner for all but npages pages.
	void uncharge_to(u64 npages)
	{
		owner_->uncharge(forget_charge_to(npages));
	}

	// The same, but the caller uncharges the owner, for as many pages as this
	// returns.
	u64 forget_charge_to(u64 npages)
	{
		return vfio::exchange(charged_, npages) - npages;
	}

	// The caller charged the owner for npages.
	void note_charge(u64 npages)
	{
		charged_ += npages;
	}

	// The caller uncharges the owner for npages external pages, or fewer:
	// as many as this returns.
	u64 note_uncharge(u64 npages)
	{
		npages = min(npages, charged_);
		charged_ -= npages;
		return npages;
	}

	// Charges the owner for the external pages and no others. These may be more
	// pages than before: one that did not count when all were pinned may have been
	// replaced by one that does.
	void charge_external_alone();

	u64 charged() const
	{
		return charged_;
	}

	// The external pages, as pfns with their kinds; npages all inside the
	// range. Pins once more those from iova on that are pinned, and gives
	// how many; or tells how many are not.
	// Errors: EOVERFLOW, ENOMEM; nothing is pinned then.
	Result<u64> pin_external_again(Iova iova, u64 npages, u64 *pages)
	{
		return external_ ? external_->pin_again(page_index(iova), npages, pages) : u64{0};
	}

	u64 external_absent(Iova iova, u64 npages) const
	{
		return external_ ? external_->absent_from(page_index(iova), npages) : npages;
	}

	// The short ways for one page (PinIndex). It has no pages while it is
	// busy.
	u64 try_pin_external_again(Iova iova)
	{
		return external_ ? external_->try_pin_again(page_index(iova)) : kPinNone;
	}

	// The same, and kPinStill if it would take any longer.
	u64 try_pin_near_external_again(Iova iova)
	{
		return external_ ? external_->try_pin_near_again(page_index(iova)) : kPinStill;
	}

	// False if there is no memory for it, or it is there.
	bool add_external_page(Iova iova, u64 page)
	{
		if (!external_) [[unlikely]]
			return add_first_page(iova, page);
		if (!external_->insert_one(page_index(iova), page).ok()) [[unlikely]]
			return false;
		external_counted_ += is_counted(page);
		return true;
	}

	// Unpins it once; returns what it was if it is not pinned any more,
	// else kPinNone.
	u64 unpin_external_page(Iova iova)
	{
		if (!external_)
			return kPinNone;
		return external_->is_near(page_index(iova)) ?
			       external_->unpin_near(page_index(iova)) :
			       unpin_far_external_page(iova);
	}

	// Pages that are not there. Errors: EEXIST if one is, ENOMEM; none is
	// added then.
	Result<void> add_external(const ExternalPages &pages);

	// Unpins pages once. Those that went, as far as gone has room, are the
	// caller's; returns how many it went through.
	template <class Gone> u64 unpin_external(Iova iova, u64 npages, Gone &gone)
	{
		if (!external_)
			return npages;

		const u64 done = external_->unpin(page_index(iova), npages, gone);
		if (external_->empty())
			external_.reset();
		return done;
	}

	// Of pages that went, or that are not added yet.
	static bool is_counted(u64 page)
	{
		return kind_of(page) == PinKind::kCounted;
	}

	// How many of them.
	static u64 counted_in(const PinnedPages &gone);

	// Unpins those that are pinned, contiguous ones or an array, which is
	// used up.
	static void release_external(u64 page, u64 npages, bool dirty);
	static void release_external_page(u64 page, bool dirty);
	static void release_external_pages(u64 *pages, u64 npages, bool dirty);

	// External pages that counted went.
	void note_external_gone(u64 npages)
	{
		external_counted_ -= npages;
	}

	Iova iova_of(u64 page_index) const
	{
		return range_.first + (page_index << kPageShift);
	}

	bool has_external() const
	{
		return external_ && !external_->empty();
	}

	// Pages in external that count; of those in part of the range.
	u64 external_counted() const
	{
		return external_counted_;
	}

	u64 external_counted_in(IovaRange part) const
	{
		return external_counted_ ? count_external(part) : 0;
	}

	// Marks pages dirty; a bit stands for 1 << pgshift bytes. If there is no memory
	// for the bits, the whole mapping becomes dirty.
	void mark_dirty(IovaRange part, unsigned int pgshift);
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

	PinRuns pins;
	u32 held = 0;
	bool iommu_mapped = false;
	bool vaddr_invalid = false;
	// Set under DmaTree's lock, cleared by the caller that has made it busy.
	Atomic<bool> busy{false};

private:
	static constexpr u32 kLeaving = 1U << 31;

	u64 page_index(Iova iova) const
	{
		return (iova - range_.first) >> kPageShift;
	}

	static PinKind kind_of(u64 page)
	{
		return static_cast<PinKind>(page >> kPinKindShift);
	}

	bool add_first_page(Iova iova, u64 page);
	u64 unpin_far_external_page(Iova iova);
	void let_all_go();
	u64 count_external(IovaRange part) const;
	void clear_all_dirty(IovaRange part);

	// Whether all pages of all_dirty_part_ are dirty, whatever the bits say. A
	// report proceeds upwards, piece by piece, and each piece is cut off the part.
	bool all_dirty_ = false;
	// Why a pin is refused: the bits of prot that it must not ask for, and kLeaving.
	u32 refused_;
	const IovaRange range_;
	UserVa uva_;
	RefPtr<Owner> owner_;
	UniquePtr<PinIndex> external_;
	DirtyBitmap dirty_;
	IovaRange all_dirty_part_ = {};
	u64 external_counted_ = 0;
	u64 charged_ = 0;
	const u32 prot_;
};

} // namespace vfio
