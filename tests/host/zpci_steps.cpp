// SPDX-License-Identifier: GPL-2.0
#include "zpci_steps.hpp"

#include <algorithm>

using zpci_test::kReadWriteFlags;

namespace {

constexpr u64 kRegionFirst = 0x10'0000;
constexpr u64 kRegionLast = 0x1f'ffff;
constexpr u64 kLastNarrow = (u64{1} << 39) - 1;
constexpr int kBell = 9;

} // namespace

void ZpciSteps::begin()
{
	static constexpr u64 kSizes[] = {
		kPage | u64{2} << 20 | u64{1} << 30,
		kPage | u64{1} << 20,
		kPage,
		~(kPage - 1),
	};

	process.mm.map(kUva + kPages * kPage, 8, mock::kDevicePfn + 5, true, mock::Kind::kBar);
	slots_ = {{0, 32, false},
		  {32, 32, false},
		  {512, 512, false},
		  {1024, 512, false},
		  {kPages, 8, true}};
	bell_.emplace(kBell);
	for (u32 i = 0; i < kGroups; i++) {
		Group &group = groups_[i];

		group.hardware.unmaps_whole_pages = true;
		group.hardware.pgsizes = choices->one_of(kSizes);
		if (i) {
			group.hardware.aperture_last = kLastNarrow;
			group.hardware.driver = 2;
		} else {
			group.hardware.aperture_last = ~u64{0};
		}
		group.group.emplace(&group.hardware, i + 1);
		if (i)
			group.group->reserved.push_back(
				{kRegionFirst, kRegionLast, SHIM_RESV_RESERVED});
		files_[i].emplace(kGroupFd + static_cast<int>(i), &*group.group);
		ASSERT_EQ(zpci_attach_group(zpci, &*group.group, false), 0);
		group.attached = true;
	}
	ASSERT_EQ(map_memory(slots_[0].page, slots_[0].npages), 0);
	change_memory(slots_[0], true, 3);
	register_step();
	mock::plan.reset();
}

void ZpciSteps::change_memory(Slot &slot, bool mapped, u32 prot)
{
	slot.mapped = mapped;
	for (u64 i = 0; i < slot.npages; i++)
		if (mapped)
			guest_[slot.page + i] = {slot.device ? mock::kDevicePfn + 5 + i :
							       kPfn + slot.page + i,
						 prot, !slot.device};
		else
			guest_.erase(slot.page + i);
}

Targets ZpciSteps::hardware_of(const Group &group)
{
	Targets found;

	if (group.group->domain)
		for (const auto &[iova, pte] : group.group->domain->ptes)
			found[iova / kPage] = {pte.pfn, pte.prot & 3};
	return found;
}

bool ZpciSteps::matches(const Allowed &allowed, const Targets &found)
{
	for (const auto &[page, target] : found) {
		const auto may = allowed.find(page);

		if (may == allowed.end() ||
		    std::find(may->second.begin(), may->second.end(), target) == may->second.end())
			return false;
	}
	for (const auto &[page, may] : allowed)
		if (!found.contains(page) &&
		    std::find(may.begin(), may.end(), Target{}) == may.end())
			return false;
	return true;
}

// All that the hardware maps is what the model says, and memory that the guest has.
void ZpciSteps::check()
{
	mock::plan.reset();
	for (const Group &group : groups_) {
		const Targets found = hardware_of(group);

		ASSERT_EQ(found.size(), group.now.size());
		ASSERT_TRUE(found == group.now);
		for (const auto &[page, target] : found)
			ASSERT_GE(target.pfn >= mock::kDevicePfn ? 1 : mock::phys::pins(target.pfn),
				  1u);
	}
	for (u32 i = 0; i < kFunctions; i++) {
		const Function &function = functions_[i];

		if (!function.known)
			continue;
		const vfio_zpci_statistics found = statistics(kFirstFh + i);
		ASSERT_EQ(found.state, function.state);
		ASSERT_EQ(found.pages, function.group->now.size());
		ASSERT_EQ(found.mapped - found.unmapped, found.pages);
		const vfio_zpci_event pending = event(kFirstFh + i);
		ASSERT_EQ(pending.code, function.event);
		if (pending.code) {
			ASSERT_EQ(pending.address, function.address);
		}
	}
	const std::vector<std::string> violations = mock::take_violations();
	ASSERT_TRUE(violations.empty()) << violations.front();
}

// Indices that other steps choose as well.
u64 ZpciSteps::some_iova(bool vtd, unsigned int top)
{
	u64 iova = 0;

	for (unsigned int level = 0; level <= top; level++) {
		const u64 entries = PlainWalk::entries(vtd, level);
		const u64 kind = below(8);
		const u64 index = kind < 4 ? 0 :
				  kind < 6 ? kind - 3 :
				  kind < 7 ? entries - 1 :
					     below(entries);

		iova |= index << PlainWalk::shift(vtd, level);
	}
	return iova;
}

u64 ZpciSteps::some_frame()
{
	switch (below(5)) {
	case 0:
		return below(32);
	case 1:
		return 32 + below(34);
	case 2:
		return 510 + below(1030);
	case 3:
		return kPages + below(10);
	default:
		return 512 * (1 + below(3));
	}
}

u64 ZpciSteps::invalid_entry(bool vtd, unsigned int level)
{
	return vtd ? 0 : level ? 0x20 : 0x400;
}

u64 ZpciSteps::some_entry(bool vtd, unsigned int level)
{
	const u64 kind = below(64);
	const u64 access = below(4);

	if (kind == 0)
		return choices->hostile();
	if (kind == 1)
		return 0;
	if (kind < 12)
		return invalid_entry(vtd, level);
	if (level && kind < 40) {
		const u64 table = below(kTablePages) * kPage;

		if (vtd)
			return table | (access ? 3 : 1);
		return (level == 1 ? table | (kind & 1) << 11 : (table & ~u64{0x3fff}) | 7) |
		       (access ? 0 : 0x200);
	}

	u64 address = some_frame() * kPage;
	if (level && below(4))
		address &= ~((u64{1} << PlainWalk::shift(vtd, level)) - 1);
	if (vtd)
		return address | (level ? 0x80 : 0) | (access ? access : 3);
	return address | (level ? 0x400 : 0) | (access ? 0 : 0x200);
}

// The guest writes only memory that it has.
void ZpciSteps::write(u64 address, bool vtd, u64 entry)
{
	const auto page = guest_.find(address / kPage);

	if (page == guest_.end() || !page->second.readable)
		return;
	entry = vtd ? htole64(entry) : htobe64(entry);
	memcpy(mock::phys::contents(page->second.pfn) + address % kPage, &entry, sizeof(entry));
}

// As a guest builds its tables: from the root to pages, the tables of a level in places of
// their own.
void ZpciSteps::build(const PlainTable &table)
{
	const u64 iova = some_iova(table.vtd, table.top);
	u64 origin = table.origin;

	for (unsigned int level = table.top;; level--) {
		const u64 entries = PlainWalk::entries(table.vtd, level);
		const u64 index = (iova >> PlainWalk::shift(table.vtd, level)) % entries;

		if (below(3) == 0)
			for (u64 i = 0; i < entries; i++)
				write(origin + i * sizeof(u64), table.vtd,
				      invalid_entry(table.vtd, level));
		if (level == 0) {
			const u64 frame = some_frame() * kPage;
			const u64 n = std::min(entries - index, 1 + below(8));
			const u64 access = table.vtd ? (below(4) ? 3 : 1) : below(4) ? 0 : 0x200;

			for (u64 i = 0; i < n; i++)
				write(origin + (index + i) * sizeof(u64), table.vtd,
				      (frame + i * kPage) | access);
			return;
		}
		const u64 next = level * 4 * kPage;
		const u64 flags = table.vtd ? (below(4) ? 3 : 1) :
					      (level > 1 ? 7 : 0) | (below(4) ? 0 : 0x200);
		write(origin + index * sizeof(u64), table.vtd, next | flags);
		origin = next;
	}
}

void ZpciSteps::table_step()
{
	const Function &function = functions_[below(kFunctions)];
	const PlainTable table =
		function.registered ? function.group->anchor.table : PlainTable{false, 2, 0};

	if (below(4)) {
		build(table);
		return;
	}

	const unsigned int level = static_cast<unsigned int>(below(table.top + 1));
	const u64 iova = some_iova(table.vtd, level);
	u64 origin = level == table.top && below(4) ? table.origin : below(kTablePages) * kPage;
	u64 entry = some_entry(table.vtd, level);
	const u64 most = PlainWalk::entries(table.vtd, level);
	const u64 index = (iova >> PlainWalk::shift(table.vtd, level)) % most;
	// Page tables are filled with successive pages, or others.
	const u64 n = level == 0 && below(2) ? 1 + below(most) : 1;
	const u64 stride = n > 1 ? below(3) * kPage : 0;

	if (!table.vtd && level == 0)
		origin |= below(2) << 11;
	for (u64 i = 0; i < n; i++, entry += stride)
		write(origin + (index + i) % most * sizeof(u64), table.vtd, entry);
}

// Restates what VFIO_ZPCI_REGISTER says of an anchor and a window. Returns 0 or the error.
long ZpciSteps::expected_registration(const vfio_zpci_register &request, Anchor &anchor)
{
	const unsigned __int128 first =
		(static_cast<unsigned __int128>(request.pba) + kPage - 1) / kPage;
	const unsigned __int128 end = (static_cast<unsigned __int128>(request.pal) + 1) / kPage;

	if (first >= end)
		return -EINVAL;
	anchor.first = static_cast<u64>(first * kPage);
	anchor.last = static_cast<u64>(end * kPage - 1);
	if (request.format == VFIO_ZPCI_FORMAT_VTD) {
		if (request.levels < 3 || request.levels > 5 || request.anchor % kPage)
			return -EINVAL;
		anchor.table = {true, request.levels - 1, request.anchor};
	} else if (request.format == VFIO_ZPCI_FORMAT_S390) {
		const unsigned int type = request.anchor >> 2 & 7;

		if (request.levels)
			return -EINVAL;
		anchor.direct = !(request.anchor & 0x800);
		if (!anchor.direct && type > 3)
			return -EINVAL;
		anchor.table = {false, anchor.direct ? 2 : type + 1, request.anchor & ~u64{0xfff}};
	} else {
		return -EINVAL;
	}
	anchor.direct |= request.flags & VFIO_ZPCI_REGISTER_DIRECT;

	const unsigned int bits = PlainWalk::shift(anchor.table.vtd, anchor.table.top + 1);
	if (!anchor.direct && bits < 64 && anchor.last >> bits)
		return -EINVAL;
	return 0;
}

Targets ZpciSteps::direct_targets(const Group &group) const
{
	Targets targets;

	for (const auto &[page, memory] : guest_) {
		const u64 into = page * kPage;

		if (into > group.anchor.last - group.anchor.first)
			continue;
		const u64 iova = group.anchor.first + into;
		if (!group.group->reserved.empty() && iova >= kRegionFirst && iova <= kRegionLast)
			continue;
		targets[iova / kPage] = {memory.pfn, memory.prot};
	}
	return targets;
}

void ZpciSteps::register_step()
{
	const u32 which = static_cast<u32>(below(kFunctions));
	Function &function = functions_[which];
	Group &group = groups_[below(kGroups)];
	const bool vtd = below(2);
	const unsigned int top = static_cast<unsigned int>(vtd ? 2 + below(3) : 1 + below(4));
	vfio_zpci_register request = {};

	request.fh = kFirstFh + which;
	request.fid = which;
	request.group_fd = kGroupFd + static_cast<int>(&group - groups_.data());
	request.format = vtd ? VFIO_ZPCI_FORMAT_VTD : VFIO_ZPCI_FORMAT_S390;
	request.levels = vtd ? top + 1 : 0;
	request.anchor = below(4) * 4 * kPage | (vtd ? 0 : 0x800 | (top - 1) << 2);
	request.pal = std::min(group.hardware.aperture_last,
			       (u64{1} << std::min(PlainWalk::shift(vtd, top + 1), 63u)) - 1);
	switch (below(8)) {
	case 0:
		request.flags = VFIO_ZPCI_REGISTER_DIRECT;
		request.pba = below(4) * kPage + below(2);
		request.pal = request.pba + (1 + below(2000)) * kPage - below(3);
		break;
	case 1:
		request.pba = choices->hostile();
		break;
	case 2:
		request.pal = choices->hostile();
		break;
	case 3:
		request.anchor = choices->hostile();
		break;
	default:
		break;
	}

	Anchor anchor;
	long expected = expected_registration(request, anchor);
	if (expected == 0) {
		if (!group.attached)
			expected = -ENODEV;
		else if (function.known && (function.group != &group || function.registered))
			expected = -EBUSY;
		else if (group.anchored && !(group.anchor == anchor))
			expected = -EBUSY;
		else if (!group.anchored && anchor.last > group.hardware.aperture_last)
			expected = -EINVAL;
	}
	const bool failing = plan_failure();
	const long ret = ioctl(VFIO_ZPCI_REGISTER, request);
	const bool failed = mock::plan.fired();
	if (failing && failed && ret == -ENOMEM)
		return;
	ASSERT_EQ(ret, expected);
	if (ret)
		return;
	if (!function.known)
		function = {.known = true, .group = &group};
	function.registered = true;
	if (group.anchored++ == 0)
		group.anchor = anchor;
	if (group.anchor.direct)
		group.now = direct_targets(group);
}

void ZpciSteps::drop_anchor(Function &function)
{
	function.registered = false;
	if (--function.group->anchored == 0)
		function.group->now.clear();
}

void ZpciSteps::forget(Function &function)
{
	if (function.registered)
		drop_anchor(function);
	function = {};
}

void ZpciSteps::function_step()
{
	const u32 which = static_cast<u32>(below(kFunctions));
	const u32 fh = kFirstFh + which;
	Function &function = functions_[which];

	switch (below(8)) {
	case 0: {
		const long expected = !function.known ? -ENOENT : function.registered ? 0 : -EINVAL;

		ASSERT_EQ(deregister(fh), expected);
		if (expected == 0)
			drop_anchor(function);
		break;
	}
	case 1:
		ASSERT_EQ(deregister(fh, VFIO_ZPCI_DEREGISTER_FORGET),
			  function.known ? 0 : -ENOENT);
		forget(function);
		break;
	case 2: {
		const u64 page = below(40) * kPage;
		const long expected = !function.known ? -ENOENT : function.bell ? -EBUSY : 0;

		ASSERT_EQ(set_doorbell(fh, kBell, page), expected);
		if (expected == 0) {
			function.bell = true;
			function.bell_page = page;
		}
		break;
	}
	case 3: {
		const long expected = !function.known ? -ENOENT : function.bell ? 0 : -EINVAL;

		ASSERT_EQ(set_doorbell(fh, -1, 0), expected);
		function.bell = false;
		break;
	}
	case 4: {
		vfio_zpci_event request = {};

		request.fh = fh;
		request.flags = VFIO_ZPCI_EVENT_CLEAR;
		ASSERT_EQ(ioctl(VFIO_ZPCI_GET_EVENT, request), function.known ? 0 : -ENOENT);
		function.event = 0;
		break;
	}
	default: {
		const u32 state = below(4) ? VFIO_ZPCI_STATE_ENABLED : static_cast<u32>(below(5));
		const long expected = state > VFIO_ZPCI_STATE_PERMANENT_ERROR ? -EINVAL :
				      function.known			      ? 0 :
										-ENOENT;

		ASSERT_EQ(set_state(fh, state), expected);
		if (expected)
			break;
		function.state = state;
		if (state == VFIO_ZPCI_STATE_DISABLED) {
			function.event = 0;
			if (function.registered)
				drop_anchor(function);
		}
	}
	}
}

// Returns whether a call of the shim may fail now.
bool ZpciSteps::plan_failure()
{
	static constexpr mock::Fail kCalls[] = {mock::Fail::kAlloc,	   mock::Fail::kAlloc,
						mock::Fail::kDomainMap,	   mock::Fail::kPin,
						mock::Fail::kDomainAlloc,  mock::Fail::kReserved,
						mock::Fail::kDomainAttach, mock::Fail::kFollow};

	mock::plan.reset();
	if (below(4))
		return false;
	mock::plan.fail(choices->one_of(kCalls), 1 + below(12));
	return true;
}

void ZpciSteps::memory_step()
{
	Slot &slot = slots_[below(slots_.size())];
	std::vector<Slot *> gone;

	// Most guests keep their tables.
	if (&slot == &slots_[0] && slot.mapped && below(8))
		return;

	if (!slot.mapped) {
		const u32 prot = below(4) ? 3 : 1 + static_cast<u32>(below(3));
		const bool failing = plan_failure();
		const long ret = map_memory(slot.page, slot.npages, prot);

		if (failing && mock::plan.fired() && ret < 0)
			return;
		ASSERT_EQ(ret, 0);
		change_memory(slot, true, prot);
		for (Group &group : groups_)
			if (group.anchored && group.anchor.direct)
				group.now = direct_targets(group);
		return;
	}

	switch (below(4)) {
	case 0:
		ASSERT_EQ(map_memory(slot.page + slot.npages - 1, 2), -EEXIST);
		ASSERT_EQ(unmap_memory(slot.page + 1, 1), -EINVAL);
		return;
	case 1:
		if (below(4))
			return;
		ASSERT_EQ(unmap_all_memory(), 0);
		for (Slot &one : slots_)
			if (one.mapped)
				gone.push_back(&one);
		break;
	default:
		ASSERT_EQ(unmap_memory(slot.page, slot.npages), 0);
		gone.push_back(&slot);
	}

	std::set<u64> pfns;
	for (Slot *one : gone) {
		for (u64 i = 0; i < one->npages; i++)
			pfns.insert(guest_.at(one->page + i).pfn);
		change_memory(*one, false, 0);
	}
	for (Group &group : groups_) {
		Allowed after;
		// A unit that was mapped as a whole goes as a whole.
		const u64 unit = unit_size(group) / kPage;
		std::set<u64> units;

		for (const auto &[page, target] : group.now)
			if (pfns.contains(target.pfn) && unit_is_full(group, page * kPage))
				units.insert(page / unit);
		for (const auto &[page, target] : group.now)
			if (!pfns.contains(target.pfn)) {
				after[page] = {target};
				if (units.contains(page / unit))
					after[page].push_back({});
			}
		const Targets found = hardware_of(group);
		ASSERT_TRUE(matches(after, found));
		group.now = found;
	}
}

void ZpciSteps::group_step()
{
	Group &group = groups_[below(kGroups)];

	if (group.attached && below(8))
		return;
	if (!group.attached) {
		const bool failing = plan_failure();
		const int ret = zpci_attach_group(zpci, &*group.group, false);

		if (failing && mock::plan.fired() && ret < 0)
			return;
		ASSERT_EQ(ret, 0);
		group.attached = true;
		return;
	}
	ASSERT_EQ(zpci_attach_group(zpci, &*group.group, false), -EINVAL);
	zpci_detach_group(zpci, &*group.group);
	group.attached = false;
	for (Function &function : functions_)
		if (function.group == &group)
			forget(function);
	if (std::none_of(groups_.begin(), groups_.end(),
			 [](const Group &one) { return one.attached; }))
		for (Slot &slot : slots_)
			if (slot.mapped)
				change_memory(slot, false, 0);
}

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
			if (failing || page >= walk.torn / kPage)
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

void ZpciSteps::step()
{
	switch (below(16)) {
	case 0:
		ASSERT_NO_FATAL_FAILURE(register_step());
		break;
	case 1:
	case 2:
		ASSERT_NO_FATAL_FAILURE(function_step());
		break;
	case 3:
		ASSERT_NO_FATAL_FAILURE(memory_step());
		break;
	case 4:
		ASSERT_NO_FATAL_FAILURE(group_step());
		break;
	case 5:
	case 6:
	case 7:
	case 8:
	case 9:
		ASSERT_NO_FATAL_FAILURE(refresh_step());
		break;
	default:
		table_step();
	}
	check();
}
