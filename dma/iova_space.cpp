// SPDX-License-Identifier: GPL-2.0
#include "iova_space.hpp"

namespace vfio {

bool IovaSpace::valid(IovaRange range) const
{
	for (const Window &window : windows_)
		if (window.range.contains(range))
			return true;
	return unbounded();
}

IovaRange IovaSpace::span() const
{
	if (unbounded())
		return kAllIova;
	return {windows_.front()->range.first, windows_.back()->range.last};
}

Result<void> IovaSpace::push_back(IovaRange range)
{
	windows_.push_back(*TRY(make<Window>(range)).release());
	return {};
}

void IovaSpace::drop(Window &window)
{
	windows_.remove(window);
	destroy(&window);
}

void IovaSpace::clear()
{
	while (Window *window = windows_.front())
		drop(*window);
}

Result<void> IovaSpace::restrict_to(IovaRange aperture)
{
	if (unbounded())
		return push_back(aperture);

	for (Window *window = windows_.front(), *next = nullptr; window; window = next) {
		next = windows_.next(*window);
		if (!window->range.overlaps(aperture)) {
			drop(*window);
			continue;
		}
		window->range.first = max(window->range.first, aperture.first);
		window->range.last = min(window->range.last, aperture.last);
	}
	return {};
}

Result<void> IovaSpace::exclude(IovaRange region)
{
	for (Window *window = windows_.front(), *next = nullptr; window; window = next) {
		next = windows_.next(*window);

		const IovaRange range = window->range;
		if (!range.overlaps(region))
			continue;

		const bool below = range.first < region.first;
		const bool above = region.last < range.last;
		if (below && above) {
			Window *lower =
				TRY(make<Window>(IovaRange{range.first, {region.first.value - 1}}))
					.release();

			windows_.insert_before(*window, *lower);
			window->range.first = region.last + 1;
		} else if (below) {
			window->range.last = {region.first.value - 1};
		} else if (above) {
			window->range.first = region.last + 1;
		} else {
			drop(*window);
		}
	}
	if (windows_.empty())
		return Error(EINVAL);
	return {};
}

Result<void> IovaSpace::copy(const IovaSpace &from)
{
	for (const Window &window : from.windows_)
		TRY(push_back(window.range));
	return {};
}

u32 IovaSpace::count() const
{
	u32 count = 0;

	each([&](IovaRange) { count++; });
	return count;
}

} // namespace vfio
