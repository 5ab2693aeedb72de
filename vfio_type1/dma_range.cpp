// SPDX-License-Identifier: GPL-2.0
#include "dma_range.hpp"

#include "shim/pin.h"

namespace vfio {

DmaRange::~DmaRange()
{
	// Devices unpin before they are closed; what a broken driver left is
	// let go here.
	while (ExternalPin *pin = external_.first()) {
		WARN_ONCE_IF(true, "mapping freed while pinned by a device");
		pin->refs = 1;
		put_external(*pin);
	}
	uncharge_to(0);
}

Result<void> DmaRange::change_owner(UserVa uva)
{
	if (shim_current_mm() != owner_.mm()) {
		Owner owner = TRY(Owner::of_caller());

		TRY(owner.charge(charged_));
		owner_.uncharge(charged_);
		owner_ = vfio::move(owner);
	}
	uva_ = uva;
	return {};
}

Result<void> DmaRange::charge(u64 npages)
{
	TRY(owner_.charge(npages));
	charged_ += npages;
	return {};
}

void DmaRange::uncharge(u64 npages)
{
	owner_.uncharge(npages);
	charged_ -= npages;
}

void DmaRange::add_external(ExternalPin &pin)
{
	external_.insert(pin);
	external_counted_ += pin.counted();
}

bool DmaRange::put_external(ExternalPin &pin)
{
	if (--pin.refs)
		return false;

	const bool counted = pin.counted();

	external_.erase(pin);
	external_counted_ -= counted;
	if (pin.kind != PinKind::kBorrowed)
		shim_unpin(pin.pfn.value, 1, writable());
	destroy(&pin);
	return counted;
}

u64 DmaRange::external_counted_in(IovaRange part) const
{
	u64 counted = 0;

	for (ExternalPin *pin = external_.first_in(part); pin && pin->iova <= part.last;
	     pin = external_.next(*pin))
		counted += pin->counted();
	return counted;
}

void DmaRange::mark_external_dirty(unsigned int pgshift)
{
	for (ExternalPin &pin : external_)
		dirty.set((pin.iova - range_.first) >> pgshift, 1);
}

} // namespace vfio
