// SPDX-License-Identifier: GPL-2.0
//
// DmaRange: one mapping as userspace made it. IOVAs [first, last] stand for
// the owner's memory from uva on.
//
// If the container has hardware domains, all pages are pinned (pins) and
// mapped in each of them (iommu_mapped). Pages that devices behind an
// emulated IOMMU pinned one by one are in external, whatever the domains.
//
// charged is what the owner's locked_vm carries for this range: with hardware
// domains every page that counts, without them those in external that count.
//
// Everything in it is guarded by the lock of the container's Type1, but the
// range itself, which is constant.
#pragma once

#include "dirty_bitmap.hpp"
#include "owner.hpp"
#include "pin_runs.hpp"
#include "vocab/memory.hpp"
#include "vocab/range_tree.hpp"

namespace vfio {

// A page pinned for devices behind an emulated IOMMU, as often as refs says.
struct ExternalPin : RangeNode<ExternalPin> {
	ExternalPin(Iova iova, Pfn pfn, PinKind kind) : iova(iova), pfn(pfn), kind(kind)
	{
	}

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
	u32 refs = 1;
};

class DmaRange : public RangeNode<DmaRange> {
public:
	DmaRange(IovaRange range, UserVa uva, u32 prot, Owner owner)
		: range_(range), uva_(uva), prot_(prot), owner_(vfio::move(owner))
	{
	}

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

	const Owner &owner() const
	{
		return owner_;
	}

	UserVa uva_of(Iova iova) const
	{
		return uva_ + (iova - range_.first);
	}

	// Makes the calling process, which maps the same memory at uva, the
	// owner. Errors: as charging it gives; the owner stays then.
	Result<void> change_owner(UserVa uva);

	// Charges the owner for pages of this range. Errors: ENOMEM, EINTR.
	Result<void> charge(u64 npages);
	void uncharge(u64 npages);

	// Lets the owner's charge fall to npages.
	void uncharge_to(u64 npages)
	{
		uncharge(charged_ - npages);
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

	// Drops one reference; the last unpins. Does no accounting. True if a
	// page that counts was let go.
	bool put_external(ExternalPin &pin);

	bool has_external() const
	{
		return !external_.empty();
	}

	// Pages in external that count; of those in part of the range.
	u64 external_counted() const
	{
		return external_counted_;
	}

	u64 external_counted_in(IovaRange part) const;

	// Marks what is pinned in external dirty.
	void mark_external_dirty(unsigned int pgshift);

	PinRuns pins;
	DirtyBitmap dirty;
	bool iommu_mapped = false;
	bool vaddr_invalid = false;

private:
	const IovaRange range_;
	UserVa uva_;
	const u32 prot_;
	Owner owner_;
	RangeTree<ExternalPin> external_;
	u64 external_counted_ = 0;
	u64 charged_ = 0;
};

} // namespace vfio
