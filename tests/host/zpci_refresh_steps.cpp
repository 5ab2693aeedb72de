// SPDX-License-Identifier: GPL-2.0
//
// The refreshes of ZpciSteps, and how they may end.
#include <algorithm>

#include "zpci_steps.hpp"

// The unit that a large frame of the group's format has.
u64 ZpciSteps::unit_size(const Group &group) const
{
	return u64{1} << PlainWalk::shift(group.anchor.table.vtd, 1);
}

bool ZpciSteps::unit_is_full(const Group &group, u64 iova) const
{
	const u64 npages = unit_size(group) / kPage;
	const u64 page = iova / kPage / npages * npages;
	const auto first = group.now.find(page);

	if (first == group.now.end())
		return false;
	const auto last = group.now.find(page + npages - 1);
	return last != group.now.end() &&
	       static_cast<u64>(std::distance(first, last)) == npages - 1;
}

vfio_zpci_range ZpciSteps::some_range(const Function &function)
{
	const PlainTable table =
		function.known ? function.group->anchor.table : PlainTable{false, 2, 0};
	const u64 start = below(16) ?
				  some_iova(table.vtd, table.top) + (below(4) ? 0 : below(kPage)) :
				  choices->hostile();

	switch (below(8)) {
	case 0:
	case 1:
		return {start, kPage};
	case 2:
		return {start, (1 + below(64)) * kPage};
	case 3:
		return {start, below(3 * kPage)};
	case 4:
		return {start, u64{1} << PlainWalk::shift(table.vtd, 1)};
	case 5:
		return {start, (1 + below(5)) << PlainWalk::shift(table.vtd, 1)};
	case 6:
		// All of the window.
		return {function.known ? function.group->anchor.first : 0,
			function.known ?
				function.group->anchor.last - function.group->anchor.first + 1 :
				0};
	default:
		return {start, choices->hostile()};
	}
}

// Refreshes [first, last] of a group in the model: of outcome.after. Returns false if it is too
// much for a test.
bool ZpciSteps::refresh_one(const Group &group, u64 first, u64 last, bool failing, Outcome &outcome)
{
	struct Part {
		u64 first, last;
	};
	std::vector<Part> parts;
	u64 fault_at = ~u64{0};

	if (group.anchor.direct)
		return true;
	if (group.group->reserved.empty()) {
		parts = {{first, last}};
	} else {
		if (first < kRegionFirst)
			parts.push_back({first, std::min(last, kRegionFirst - 1)});
		if (last > kRegionLast)
			parts.push_back({std::max(first, kRegionLast + 1), last});
	}
	for (const Part &part : parts) {
		PlainWalk walk(guest_, group.anchor.table);

		if (!walk.walk(part.first, part.last) && !walk.fault)
			return false;

		const u64 begin = part.first / kPage;
		const u64 faulted = walk.fault ? walk.at / kPage : ~u64{0};
		for (auto at = outcome.after.lower_bound(begin);
		     at != outcome.after.end() && at->first <= part.last / kPage;) {
			if (at->first < faulted) {
				at = outcome.after.erase(at);
			} else {
				at->second.push_back({});
				++at;
			}
		}
		for (const auto &[page, target] : walk.wanted) {
			outcome.after[page] = {target};
			if (failing)
				outcome.after[page].push_back({});
		}
		if (walk.fault) {
			outcome.event = walk.fault;
			outcome.address = fault_at = walk.at;
			break;
		}
	}
	if (fault_at != ~u64{0}) {
		outcome.cc = VFIO_ZPCI_CC_ERROR;
		outcome.status = VFIO_ZPCI_STATUS_ERROR;
	}
	return true;
}

// All ways in which successive refreshes may end, until one does not end well. Returns false if
// that is too much for a test.
bool ZpciSteps::predict(const Function &function, const Ranges &ranges, bool failing,
			std::vector<Outcome> &outcomes)
{
	Outcome before;

	outcomes.clear();
	if (function.known)
		for (const auto &[page, target] : function.group->now)
			before.after[page] = {target};
	outcomes.push_back(before);
	for (const vfio_zpci_range &range : ranges) {
		std::vector<Outcome> next;

		for (Outcome &outcome : outcomes) {
			const auto end = [&](u32 cc, u32 status, u32 event = 0) {
				outcome.cc = cc;
				outcome.status = status;
				outcome.event = event;
				outcome.address = range.start;
				next.push_back(outcome);
			};
			const auto well = [&](const Outcome &done) {
				next.push_back(done);
				next.back().done++;
			};

			if (outcome.cc != VFIO_ZPCI_CC_OK) {
				next.push_back(outcome);
				continue;
			}
			if (!function.known || (function.state != VFIO_ZPCI_STATE_ENABLED &&
						function.state != VFIO_ZPCI_STATE_ERROR)) {
				end(VFIO_ZPCI_CC_INVALID_HANDLE, 0);
				continue;
			}
			if (function.state == VFIO_ZPCI_STATE_ERROR) {
				end(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR);
				continue;
			}
			if (!function.registered) {
				end(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR,
				    VFIO_ZPCI_EVENT_NO_ANCHOR);
				continue;
			}
			if (!range.length) {
				well(outcome);
				continue;
			}

			const Group &group = *function.group;
			const u64 first = range.start / kPage * kPage;
			const u64 last = (range.start + range.length - 1) | (kPage - 1);
			if (range.length - 1 > ~u64{0} - range.start ||
			    first < group.anchor.first || last > group.anchor.last) {
				end(VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR,
				    VFIO_ZPCI_EVENT_OUT_OF_RANGE);
				continue;
			}

			const u64 mask = unit_size(group) - 1;
			for (int wider = 0; wider < 4; wider++) {
				if ((wider & 1 && !unit_is_full(group, first)) ||
				    (wider & 2 && !unit_is_full(group, last)))
					continue;
				Outcome done = outcome;
				if (!refresh_one(group, wider & 1 ? first & ~mask : first,
						 wider & 2 ? last | mask : last, failing, done))
					return false;
				if (done.cc == VFIO_ZPCI_CC_OK)
					well(done);
				else
					next.push_back(done);
				if (failing) {
					done = outcome;
					done.cc = VFIO_ZPCI_CC_ERROR;
					done.status = VFIO_ZPCI_STATUS_NO_RESOURCES;
					Outcome full = outcome;
					if (!refresh_one(group, first & ~mask, last | mask, true,
							 full))
						return false;
					done.after = full.after;
					for (auto &[page, may] : done.after)
						may.push_back({});
					next.push_back(done);
				}
			}
		}
		outcomes = std::move(next);
	}
	return true;
}

// Writes a request into the page of a doorbell.
void ZpciSteps::ask(const Function &function, const Ranges &ranges)
{
	const u64 page = function.bell_page;

	for (u64 i = 0; i < ranges.size(); i++) {
		write(page + 16 + i * 16, true, ranges[i].start);
		write(page + 24 + i * 16, true, ranges[i].length);
	}
	write(page, true,
	      static_cast<u32>(completion(function) + 1) |
		      ranges.size() << VFIO_ZPCI_DOORBELL_COUNT_SHIFT);
}

u64 ZpciSteps::completion(const Function &function) const
{
	u64 word = 0;

	memcpy(&word,
	       mock::phys::contents(guest_.at(function.bell_page / kPage).pfn) + sizeof(word),
	       sizeof(word));
	return le64toh(word);
}

// Rings, and lets the thread run if the request is left to one.
void ZpciSteps::ring(const Function &function, Outcome &seen)
{
	const u32 sequence = static_cast<u32>(completion(function) + 1);

	if (below(8))
		bell_->ring();
	else
		bell_->ring_in_interrupt();
	mock::run_doorbell_works();

	const u64 word = completion(function);
	ASSERT_EQ(static_cast<u32>(word), sequence);
	seen.cc = word >> VFIO_ZPCI_DOORBELL_CC_SHIFT & 0xff;
	seen.status = word >> VFIO_ZPCI_DOORBELL_STATUS_SHIFT & 0xff;
	seen.done = word >> VFIO_ZPCI_DOORBELL_DONE_SHIFT;
}

void ZpciSteps::refresh_step()
{
	const u32 which = static_cast<u32>(below(kFunctions));
	Function &function = functions_[which];

	// As a guest that goes on after an error.
	if (function.state == VFIO_ZPCI_STATE_ERROR && below(8)) {
		ASSERT_EQ(set_state(kFirstFh + which, VFIO_ZPCI_STATE_ENABLED), 0);
		(void)event(kFirstFh + which, VFIO_ZPCI_EVENT_CLEAR);
		function.state = VFIO_ZPCI_STATE_ENABLED;
		function.event = 0;
	}

	const u64 way = below(8);
	const u64 count = way < 5 ? 1 : below(3);
	Ranges ranges;
	std::vector<Outcome> outcomes;

	for (u64 i = 0; i < count; i++)
		ranges.push_back(some_range(function));

	const auto page = guest_.find(function.bell_page / kPage);
	const bool rings = way == 5 && function.bell && page != guest_.end() &&
			   page->second.prot & SHIM_IOMMU_WRITE && page->second.readable;
	// Others that have the same eventfd look into their pages, too.
	if (rings && std::count_if(functions_.begin(), functions_.end(),
				   [](const Function &one) { return one.bell; }) > 1)
		return;
	const bool failing = !rings && plan_failure();

	Outcome seen;
	if (rings) {
		// The page may be a table, too.
		ask(function, ranges);
		if (!predict(function, ranges, false, outcomes))
			return;
		ASSERT_NO_FATAL_FAILURE(ring(function, seen));
	} else {
		if (!predict(function, ranges, failing, outcomes)) {
			mock::plan.reset();
			return;
		}
		if (count == 1 && way < 4) {
			vfio_zpci_refresh request = {};

			request.fh = kFirstFh + which;
			request.start = ranges[0].start;
			request.length = ranges[0].length;
			ASSERT_EQ(ioctl(VFIO_ZPCI_REFRESH, request), 0);
			seen = {request.cc, request.status, 0, 0, request.cc == VFIO_ZPCI_CC_OK,
				{}};
		} else {
			const mock::UserWindow window(ranges.data(),
						      ranges.size() * sizeof(ranges[0]));
			vfio_zpci_refresh_ranges request = {};

			request.fh = kFirstFh + which;
			request.count = static_cast<u32>(ranges.size());
			request.ranges = reinterpret_cast<u64>(ranges.data());
			ASSERT_EQ(ioctl(VFIO_ZPCI_REFRESH_RANGES, request), 0);
			seen = {request.cc, request.status, 0, 0, request.done, {}};
		}
	}
	mock::plan.reset();
	if (!function.known)
		return;

	const vfio_zpci_event pending = event(kFirstFh + which);
	const Targets found = hardware_of(*function.group);
	const auto fits =
		std::find_if(outcomes.begin(), outcomes.end(), [&](const Outcome &outcome) {
			const u32 code = function.event ? function.event : outcome.event;

			return outcome.cc == seen.cc && outcome.status == seen.status &&
			       outcome.done == seen.done && code == pending.code &&
			       (function.event || !outcome.event ||
				outcome.address == pending.address) &&
			       matches(outcome.after, found);
		});

	ASSERT_NE(fits, outcomes.end())
		<< "cc " << seen.cc << ", status " << seen.status << ", event " << pending.code
		<< " at 0x" << std::hex << pending.address << std::dec << ", " << found.size()
		<< " pages; expected cc " << outcomes[0].cc << ", status " << outcomes[0].status
		<< ", event " << outcomes[0].event << " at 0x" << std::hex << outcomes[0].address
		<< std::dec << ", " << outcomes[0].after.size() << " pages";
	well += seen.cc == VFIO_ZPCI_CC_OK && !found.empty();
	if (seen.cc == VFIO_ZPCI_CC_ERROR && seen.status == VFIO_ZPCI_STATUS_ERROR)
		function.state = VFIO_ZPCI_STATE_ERROR;
	function.event = pending.code;
	function.address = pending.address;
	function.group->now = found;
}
