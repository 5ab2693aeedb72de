// SPDX-License-Identifier: GPL-2.0
#include "zpci_steps.hpp"

#include <algorithm>

namespace {

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
