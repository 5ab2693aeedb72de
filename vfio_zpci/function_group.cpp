// SPDX-License-Identifier: GPL-2.0
#include "function_group.hpp"

namespace vfio {

Result<UniquePtr<FunctionGroup>> FunctionGroup::attach(iommu_group *group, GuestMemory &memory,
						       DmaTree &no_mappings, bool unsafe_interrupts)
{
	UniquePtr<FunctionGroup> made = TRY(make<FunctionGroup>(group, memory, no_mappings));
	{
		const Guard guard(no_mappings.lock);

		TRY(made->domains_.attach(group, no_mappings,
					  {.unsafe_interrupts = unsafe_interrupts}));
	}
	// The guest's tables describe pages of this size.
	if (made->domains_.page_shift() != kPageShift)
		return Error(EINVAL);
	made->nested_ =
		TRY(make<NestedDomain>(TRY(made->domains_.domain_of(group))->get(), memory));
	return made;
}

FunctionGroup::~FunctionGroup()
{
	nested_.reset();
	if (domains_.detach(group))
		domains_.drop_unused(no_mappings_);
}

Result<void> FunctionGroup::add_anchor(const Anchor &anchor)
{
	if (anchored_functions_) {
		if (anchor != anchor_)
			return Error(EBUSY);
		anchored_functions_++;
		return {};
	}
	if (!domains_.space().span().contains(anchor.window))
		return Error(EINVAL);

	anchor_ = anchor;
	anchored_functions_ = 1;
	if (!anchor.direct)
		return {};

	// The owner's lock keeps memory from coming and going.
	Result<void> result;
	for (Iova at = {}; result.ok();) {
		IovaRange gpas;
		{
			const ReadGuard guard(memory_.lock);
			const GuestMapping *mapping = memory_.first_in({at, kAllIova.last});

			if (!mapping)
				return {};
			gpas = mapping->range();
		}
		result = map_added_memory(gpas);
		if (gpas.last == kAllIova.last)
			break;
		at = gpas.last + 1;
	}
	if (!result.ok())
		drop_anchor();
	return result;
}

void FunctionGroup::drop_anchor()
{
	if (--anchored_functions_ == 0)
		nested_->clear();
}

Refreshed FunctionGroup::refresh(IovaRange range, Context context)
{
	Refreshed result;

	if (anchor_.direct)
		return result;
	domains_.space().each([&](IovaRange part) {
		// Where there is no room, what is invalid is unmapped in the following parts, too.
		const bool full = result.outcome == Refreshed::Outcome::kNoRoom;

		if ((result.outcome != Refreshed::Outcome::kDone && !full) || result.more ||
		    !part.overlaps(range))
			return;
		result = nested_->refresh(
			anchor_.table, {max(part.first, range.first), min(part.last, range.last)},
			context);
		if (full && result.outcome == Refreshed::Outcome::kDone)
			result.outcome = Refreshed::Outcome::kNoRoom;
	});
	return result;
}

Result<void> FunctionGroup::map_added_memory(IovaRange gpas)
{
	const u64 most = anchor_.window.last - anchor_.window.first;

	if (anchored_functions_ == 0 || !anchor_.direct || gpas.first.value > most)
		return {};
	gpas.last.value = min(gpas.last.value, most);

	// A hole in what the IOMMU translates stays one.
	const u64 offset = anchor_.window.first.value;
	const IovaRange iovas{gpas.first + offset, gpas.last + offset};
	Result<void> result;
	domains_.space().each([&](IovaRange part) {
		if (!result.ok() || !part.overlaps(iovas))
			return;

		const Iova first = max(part.first, iovas.first);
		const Iova last = min(part.last, iovas.last);
		result = nested_->map_direct({{first.value - offset}, {last.value - offset}},
					     offset);
	});
	return result;
}

} // namespace vfio
