// SPDX-License-Identifier: GPL-2.0
#include "pin_lookup.hpp"

#include "shim/alloc.h"

namespace vfio {

Result<UniquePtr<PinLookup>> PinLookup::of(const PinRuns &runs)
{
	UniquePtr<PinLookup> made = TRY(make<PinLookup>());
	u64 marks = 0;

	(void)runs.try_each_array([&](const PinRun *, u32 count) -> Result<void> {
		marks += (count + kStep - 1) / kStep;
		return {};
	});

	Mark *mark = &made->first_;
	// Larger arrays cannot be allocated.
	if (marks * sizeof(Mark) > kMostBytes)
		return Error(ENOMEM);
	if (marks > 1) {
		mark = made->marks_ = static_cast<Mark *>(shim_valloc(marks * sizeof(Mark)));
		if (!mark)
			return Error(ENOMEM);
	}

	u64 page = 0;
	(void)runs.try_each_array([&](const PinRun *array, u32 count) -> Result<void> {
		for (u32 i = 0; i < count; i++) {
			if (i % kStep == 0)
				*mark++ = {page, array + i};
			page += array[i].npages();
		}
		return {};
	});
	if (marks > 1)
		TRY(made->divide(page, marks));
	return made;
}

// Makes parts_ for a mapping of npages pages.
Result<void> PinLookup::divide(u64 npages, u64 marks)
{
	while (npages >> part_shift_ > marks)
		part_shift_++;

	const u64 parts = ((npages - 1) >> part_shift_) + 1;
	parts_ = static_cast<u32 *>(shim_valloc((parts + 1) * sizeof(*parts_)));
	if (!parts_)
		return Error(ENOMEM);

	u32 mark = 0;
	for (u64 part = 0; part < parts; part++) {
		while (mark + 1 < marks && marks_[mark + 1].page <= part << part_shift_)
			mark++;
		parts_[part] = mark;
	}
	parts_[parts] = static_cast<u32>(marks) - 1;
	return {};
}

} // namespace vfio
