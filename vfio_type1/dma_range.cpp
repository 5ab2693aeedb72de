// SPDX-License-Identifier: GPL-2.0
#include "dma_range.hpp"

#include "shim/pin.h"

namespace vfio {

ExternalPin::~ExternalPin()
{
	if (kind != PinKind::kBorrowed)
		shim_unpin(pfn.value, 1, dirties);
}

void DmaRange::let_external_go()
{
	while (ExternalPin *pin = external_.first()) {
		WARN_ONCE_IF(true, "mapping freed while pinned by a device");
		remove_external(*pin);
		destroy(pin);
	}
}

Result<void> DmaRange::change_owner(const RefPtr<Owner> &owner, UserVa uva)
{
	if (owner->mm() != owner_->mm()) {
		TRY(owner->charge(charged_));
		owner_->uncharge(charged_);
		owner_ = owner;
	}
	uva_ = uva;
	return {};
}

Result<void> DmaRange::charge(u64 npages)
{
	TRY(owner_->charge(npages));
	charged_ += npages;
	return {};
}

void DmaRange::add_external(ExternalPin &pin)
{
	external_.insert(pin);
	external_counted_ += pin.counted();
}

void DmaRange::remove_external(ExternalPin &pin)
{
	external_.erase(pin);
	external_counted_ -= pin.counted();
}

u64 DmaRange::count_external(IovaRange part) const
{
	u64 counted = 0;

	for (ExternalPin *pin = external_.first_in(part); pin && pin->iova <= part.last;
	     pin = external_.next(*pin))
		counted += pin->counted();
	return counted;
}

void DmaRange::mark_dirty(IovaRange part, unsigned int pgshift)
{
	const u64 first = (part.first - range_.first) >> pgshift;
	const u64 last = (part.last - range_.first) >> pgshift;

	if (dirty_.reserve(((range_.last - range_.first) >> pgshift) + 1).ok())
		dirty_.set(first, last - first + 1);
	else
		all_dirty_ = true;
}

void DmaRange::collect_dirty(IovaRange part, unsigned int pgshift, u64 *words, u64 shift) const
{
	const u64 first = (part.first - range_.first) >> pgshift;
	const u64 nbits = ((part.last - part.first) >> pgshift) + 1;

	if (all_dirty_) {
		DirtyBitmap::set_bits(words, shift, nbits);
		return;
	}
	dirty_.collect(first, nbits, words, shift);
	for (ExternalPin *pin = external_.first_in(part); pin && pin->iova <= part.last;
	     pin = external_.next(*pin))
		DirtyBitmap::set_bits(words, shift + ((pin->iova - part.first) >> pgshift), 1);
}

void DmaRange::forget_dirty()
{
	all_dirty_ = false;
	dirty_.release();
}

} // namespace vfio
