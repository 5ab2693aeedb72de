// SPDX-License-Identifier: GPL-2.0
//
// DmaRange: one mapping as userspace made it. IOVAs [first, last] stand for
// the owner's memory from uva on.
//
// If the container has hardware domains, all pages are pinned (pins) and
// mapped in each of them (iommu_mapped). Pages that devices behind an
// emulated IOMMU pinned one by one are external, whatever the domains.
//
// charged is what the owner's locked_vm carries for this range: with hardware
// domains every page that counts, without them the external ones that count.
//
// A range is busy while one caller maps or unmaps it, and that caller's alone.
// It is held while callers use its memory, and stays until they let go. It is
// leaving while devices are asked to unpin it, and takes no new pins then. All
// else in it is guarded by the container's lock, but for what is constant.
#pragma once

#include "dirty_bitmap.hpp"
#include "owner.hpp"
#include "pin_runs.hpp"
#include "vocab/list.hpp"
#include "vocab/range_tree.hpp"

namespace vfio {

// A page pinned for devices behind an emulated IOMMU, as often as refs says.
struct ExternalPin : RangeNode<ExternalPin> {
	ExternalPin(Iova iova, Pfn pfn, PinKind kind, bool dirties)
		: iova(iova), pfn(pfn), kind(kind), dirties(dirties)
	{
	}

	// Unpins.
	~ExternalPin();

	IovaRange range() const
	{
		return {iova, iova + (kPageSize - 1)};
	}

	bool counted() const
	{
		return kind == PinKind::kCounted;
	}

	const Iova iova;
	const Pfn pfn;
	const PinKind kind;
	const bool dirties;
	u32 refs = 1;
};

class DmaRange : public RangeNode<DmaRange>, public ListNode<DmaRange> {
public:
	DmaRange(IovaRange range, UserVa uva, u32 prot) : range_(range), uva_(uva), prot_(prot)
	{
	}

	// Devices unpin before they are closed; what a broken driver left is
	// let go here.
	~DmaRange()
	{
		if (!external_.empty()) [[unlikely]]
			let_external_go();
		if (charged_) [[unlikely]]
			uncharge_to(0);
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

	Owner &owner() const
	{
		return *owner_;
	}

	// Once, before anything is charged.
	void set_owner(const RefPtr<Owner> &owner)
	{
		owner_ = owner;
	}

	UserVa uva_of(Iova iova) const
	{
		return uva_ + (iova - range_.first);
	}

	// Lets owner, who maps the same memory at uva, be charged for it from
	// now on. Errors: as charging gives; the old owner stays then.
	Result<void> change_owner(const RefPtr<Owner> &owner, UserVa uva);

	// Charges the owner for pages of this range. Errors: ENOMEM, EINTR.
	Result<void> charge(u64 npages);

	// Lets the owner's charge fall to npages.
	void uncharge_to(u64 npages)
	{
		owner_->uncharge(forget_charge_to(npages));
	}

	// The same, but the owner is uncharged by the caller, for as many pages
	// as this gives.
	u64 forget_charge_to(u64 npages)
	{
		return vfio::exchange(charged_, npages) - npages;
	}

	// The caller charged the owner for npages, or uncharged it.
	void note_charge(u64 npages)
	{
		charged_ += npages;
	}

	void note_uncharge(u64 npages)
	{
		charged_ -= npages;
	}

	u64 charged() const
	{
		return charged_;
	}

	ExternalPin *find_external(Iova iova) const
	{
		return external_.find(iova);
	}

	void add_external(ExternalPin &pin);

	// Takes the pin out, for the caller to destroy.
	void remove_external(ExternalPin &pin);

	bool has_external() const
	{
		return !external_.empty();
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

	// Dirty tracking: bits of 1 << pgshift bytes. Without memory for them
	// all of the range counts as dirty.
	void mark_dirty(IovaRange part, unsigned int pgshift);
	void mark_all_dirty()
	{
		all_dirty_ = true;
	}

	// Puts the bits of part, which begins and ends at pages, into words
	// from bit shift of the first on. What is pinned is dirty too.
	void collect_dirty(IovaRange part, unsigned int pgshift, u64 *words, u64 shift) const;
	void clear_dirty(IovaRange part, unsigned int pgshift)
	{
		// All of it is known to be dirty until all of it was reported.
		if (part.last == range_.last)
			all_dirty_ = false;
		if (!dirty_.empty())
			dirty_.clear((part.first - range_.first) >> pgshift,
				     ((part.last - part.first) >> pgshift) + 1);
	}
	void forget_dirty();

	// Whether there is anything that clear_dirty() would clear.
	bool dirty_recorded() const
	{
		return all_dirty_ || !dirty_.empty();
	}

	PinRuns pins;
	u32 held = 0;
	bool iommu_mapped = false;
	bool vaddr_invalid = false;
	bool busy = false;
	bool leaving = false;

private:
	void let_external_go();
	u64 count_external(IovaRange part) const;

	bool all_dirty_ = false;
	const IovaRange range_;
	UserVa uva_;
	RefPtr<Owner> owner_;
	RangeTree<ExternalPin> external_;
	DirtyBitmap dirty_;
	u64 external_counted_ = 0;
	u64 charged_ = 0;
	const u32 prot_;
};

} // namespace vfio
