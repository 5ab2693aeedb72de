// SPDX-License-Identifier: GPL-2.0
#include "type1_model.hpp"

namespace {

u32 prot_of(u32 flags)
{
	return (flags & kRead ? SHIM_IOMMU_READ : 0) | (flags & kWrite ? SHIM_IOMMU_WRITE : 0);
}

bool is_counted(const mock::Page &page)
{
	return page.kind == mock::Kind::kOrdinary;
}

bool is_pinned(const mock::Page &page)
{
	return is_counted(page) || page.kind == mock::Kind::kReserved;
}

u64 last_of(const Type1Model::Mapping &mapping)
{
	return mapping.iova + (mapping.npages * kPage - 1);
}

bool collides(const iommu_group &group, u64 first, u64 last)
{
	if (first < group.hardware->aperture_first || last > group.hardware->aperture_last)
		return true;
	for (const shim_reserved_region &region : group.reserved)
		if (first <= region.last && region.first <= last)
			return true;
	return false;
}

// The page that pinning finds, or the error.
long look_up(const Type1Model::Mapping &mapping, u64 index, mock::Page &page)
{
	if (!mapping.owner->mm.find(mapping.uva + index * kPage, page) ||
	    ((mapping.flags & kWrite) && !page.writable) || page.kind == mock::Kind::kRamMap)
		return -EFAULT;
	return 0;
}

} // namespace

bool Type1Model::hardware() const
{
	return std::any_of(groups.begin(), groups.end(),
			   [](auto &group) { return group->attached && !group->emulated; });
}

bool Type1Model::emulated() const
{
	return std::any_of(groups.begin(), groups.end(),
			   [](auto &group) { return group->attached && group->emulated; });
}

bool Type1Model::unpinned_scope() const
{
	return std::any_of(groups.begin(), groups.end(),
			   [](auto &group) { return group->attached && !group->pinned_scope; });
}

bool Type1Model::any_invalid() const
{
	return std::any_of(mappings.begin(), mappings.end(),
			   [](auto &entry) { return entry.second.vaddr_invalid; });
}

Type1Model::Mapping *Type1Model::at(u64 iova)
{
	for (auto &[first, mapping] : mappings)
		if (first <= iova && iova <= last_of(mapping))
			return &mapping;
	return nullptr;
}

bool Type1Model::bisects(u64 first, u64 last)
{
	const Mapping *low = at(first), *high = at(last);

	return (low && low->iova != first) || (high && last_of(*high) != last);
}

u64 Type1Model::counted(const Mapping &mapping)
{
	return static_cast<u64>(
		std::count_if(mapping.pinned.begin(), mapping.pinned.end(), is_counted));
}

u64 Type1Model::external_counted(const Mapping &mapping)
{
	return static_cast<u64>(
		std::count_if(mapping.external.begin(), mapping.external.end(),
			      [](auto &entry) { return is_counted(entry.second.first); }));
}

long Type1Model::pin_all(Mapping &mapping)
{
	u64 &locked = locked_[mapping.owner];
	const u64 already = external_counted(mapping);
	std::vector<mock::Page> pages;
	u64 charge = 0;

	for (u64 i = 0; i < mapping.npages; i++) {
		mock::Page page;

		if (const long error = look_up(mapping, i, page))
			return error;
		pages.push_back(page);
		charge += is_counted(page) && !mapping.external.contains(i);
		if (locked + charge > mapping.owner->task.rlimit_pages)
			return -ENOMEM;
	}
	mapping.pinned = pages;
	mapping.charged = already + charge;
	locked += charge;
	return 0;
}

void Type1Model::unpin_all(Mapping &mapping)
{
	mapping.pinned.clear();
	locked_[mapping.owner] -= mapping.charged - external_counted(mapping);
	mapping.charged = external_counted(mapping);
}

long Type1Model::map(u64 iova, u64 npages, u64 uva, u32 flags, mock::Process &caller)
{
	Mapping mapping = {iova, npages, uva, flags, &caller, false, {}, {}, {}, 0};
	const u64 last = last_of(mapping);

	for (const auto &[first, other] : mappings)
		if (first <= last && iova <= last_of(other))
			return -EEXIST;
	if (mappings.size() == entry_limit)
		return -ENOSPC;
	for (const auto &group : groups)
		if (group->attached && !group->emulated && collides(group->group, iova, last))
			return -EINVAL;
	if (hardware())
		if (const long error = pin_all(mapping))
			return error;
	mappings[iova] = mapping;
	return 0;
}

void Type1Model::erase(u64 iova)
{
	Mapping &mapping = mappings.at(iova);

	mapping.external.clear();
	unpin_all(mapping);
	mappings.erase(iova);
}

s64 Type1Model::unmap(u64 first, u64 last, bool vaddr)
{
	std::vector<u64> inside;
	u64 size = 0;

	if (vaddr && emulated())
		return -EBUSY;
	if (bisects(first, last))
		return -EINVAL;
	for (auto &[iova, mapping] : mappings)
		if (iova >= first && iova <= last) {
			if (vaddr && mapping.vaddr_invalid)
				return -EINVAL;
			inside.push_back(iova);
			size += mapping.npages * kPage;
		}
	for (const u64 iova : inside) {
		if (vaddr)
			mappings[iova].vaddr_invalid = true;
		else
			erase(iova);
	}
	return static_cast<s64>(size);
}

long Type1Model::give_vaddr(u64 iova, u64 npages, u64 uva, mock::Process &caller)
{
	const u64 last = iova + (npages * kPage - 1);
	Mapping *found = nullptr;

	for (auto &[first, mapping] : mappings)
		if (!found && first <= last && iova <= last_of(mapping))
			found = &mapping;
	if (!found)
		return -ENOENT;
	if (!found->vaddr_invalid || found->iova != iova || found->npages != npages)
		return -EINVAL;
	if (found->owner != &caller) {
		if (found->charged && locked_[&caller] + found->charged > caller.task.rlimit_pages)
			return -ENOMEM;
		locked_[found->owner] -= found->charged;
		locked_[&caller] += found->charged;
		found->owner = &caller;
	}
	found->uva = uva;
	found->vaddr_invalid = false;
	return 0;
}

long Type1Model::attach(Group &group)
{
	if (any_invalid())
		return -EBUSY;
	if (group.attached)
		return -EINVAL;
	if (!group.emulated) {
		const bool first = !hardware();
		long error = 0;

		for (const auto &[iova, mapping] : mappings)
			if (collides(group.group, iova, last_of(mapping)))
				return -EINVAL;
		for (auto &[iova, mapping] : mappings)
			if (first && !error)
				error = pin_all(mapping);
		if (error) {
			for (auto &[iova, mapping] : mappings)
				unpin_all(mapping);
			return error;
		}
	}
	group.attached = true;
	group.pinned_scope = group.emulated;
	return 0;
}

void Type1Model::detach(Group &group)
{
	if (!group.attached)
		return;
	group.attached = false;
	if (!hardware() && !emulated())
		while (!mappings.empty())
			erase(mappings.begin()->first);
	for (auto &[iova, mapping] : mappings) {
		if (!hardware())
			unpin_all(mapping);
		if (dirty_tracking && !group.pinned_scope)
			for (u64 i = 0; i < mapping.npages; i++)
				mapping.dirty.insert(i);
	}
}

// Pages that a mapping has none of yet are pinned in one go: of those, none is
// pinned if one cannot be.
long Type1Model::pin(Group &group, u64 iova, u32 npages, u32 prot)
{
	for (u32 done = 0; done < npages;) {
		const u64 address = iova + done * kPage;
		Mapping *mapping = at(address);
		std::vector<mock::Page> fresh;
		u64 index = 0;
		u64 charge = 0;
		long error = 0;

		if (!mapping) {
			error = -EINVAL;
		} else if ((prot_of(mapping->flags) & prot) != prot) {
			error = -EPERM;
		} else {
			index = (address - mapping->iova) / kPage;
			const auto there = mapping->external.find(index);

			if (there != mapping->external.end()) {
				there->second.second++;
				done++;
				continue;
			}
		}
		for (u64 i = index; !error && done + fresh.size() < npages && i < mapping->npages &&
				    !mapping->external.contains(i);
		     i++) {
			mock::Page page;

			error = look_up(*mapping, i, page);
			if (!error && page.kind == mock::Kind::kBar)
				error = -EINVAL;
			charge += !hardware() && is_counted(page);
			fresh.push_back(page);
		}
		if (!error && charge &&
		    locked_[mapping->owner] + charge > mapping->owner->task.rlimit_pages)
			error = -ENOMEM;
		if (error) {
			unpin(iova, done);
			return error;
		}
		locked_[mapping->owner] += charge;
		mapping->charged += charge;
		for (const mock::Page &page : fresh) {
			mapping->external[index] = {page, 1};
			if (dirty_tracking)
				mapping->dirty.insert(index);
			index++;
			done++;
		}
	}
	group.pinned_scope = true;
	return npages;
}

void Type1Model::unpin(u64 iova, u32 npages)
{
	for (u32 i = 0; i < npages; i++) {
		Mapping *mapping = at(iova + i * kPage);
		if (!mapping)
			return;

		const auto there =
			mapping->external.find((iova + i * kPage - mapping->iova) / kPage);
		if (there == mapping->external.end() || --there->second.second)
			continue;
		const bool charged = is_counted(there->second.first) && !hardware();
		mapping->external.erase(there);
		mapping->charged -= charged;
		locked_[mapping->owner] -= charged;
	}
}

void Type1Model::start_dirty()
{
	if (std::exchange(dirty_tracking, true))
		return;
	for (auto &[iova, mapping] : mappings) {
		mapping.dirty.clear();
		for (const auto &[index, pin] : mapping.external)
			mapping.dirty.insert(index);
	}
}

void Type1Model::stop_dirty()
{
	dirty_tracking = false;
	for (auto &[iova, mapping] : mappings)
		mapping.dirty.clear();
}

void Type1Model::mark_written(u64 iova, u64 size)
{
	if (!dirty_tracking)
		return;
	for (u64 page = iova / kPage; page <= (iova + (size - 1)) / kPage; page++)
		if (Mapping *mapping = at(page * kPage))
			mapping->dirty.insert(page - mapping->iova / kPage);
}

// Bits before a mapping's in their word stay; those behind them are cleared.
void Type1Model::report(const Mapping &mapping, u64 base, std::vector<u64> &bitmap) const
{
	const bool all = unpinned_scope() && !mapping.pinned.empty();
	const u64 first = (mapping.iova - base) / kPage;
	const u64 end = (first + mapping.npages + 63) / 64 * 64;

	for (u64 bit = first; bit < end; bit++) {
		const u64 index = bit - first;
		const bool set = index < mapping.npages && (all || mapping.dirty.contains(index));
		const u64 mask = u64{1} << bit % 64;

		bitmap[bit / 64] = set ? bitmap[bit / 64] | mask : bitmap[bit / 64] & ~mask;
	}
}

long Type1Model::get_dirty(u64 iova, u64 npages, std::vector<u64> &bitmap)
{
	const u64 last = iova + (npages * kPage - 1);

	if (!dirty_tracking || bisects(iova, last))
		return -EINVAL;
	for (auto &[first, mapping] : mappings) {
		if (first < iova || first > last)
			continue;
		report(mapping, iova, bitmap);
		mapping.dirty.clear();
		for (const auto &[index, pin] : mapping.external)
			mapping.dirty.insert(index);
	}
	return 0;
}

s64 Type1Model::unmap_dirty(u64 iova, u64 npages, std::vector<u64> &bitmap)
{
	const u64 last = iova + (npages * kPage - 1);

	if (!dirty_tracking || bisects(iova, last))
		return -EINVAL;
	for (auto &[first, mapping] : mappings)
		if (first >= iova && first <= last)
			report(mapping, iova, bitmap);
	return unmap(iova, last, false);
}

void Type1Model::check() const
{
	std::map<u64, u64> pins;
	std::map<u64, std::pair<u64, u32>> expected;
	std::set<const mock::Hardware *> units;

	for (const auto &[iova, mapping] : mappings) {
		for (u64 i = 0; i < mapping.pinned.size(); i++) {
			expected[iova + i * kPage] = {mapping.pinned[i].pfn,
						      prot_of(mapping.flags) | SHIM_IOMMU_CACHE};
			if (is_pinned(mapping.pinned[i]))
				pins[mapping.pinned[i].pfn]++;
		}
		for (const auto &[index, pin] : mapping.external)
			if (is_pinned(pin.first))
				pins[pin.first.pfn]++;
	}
	ASSERT_EQ(mock::phys::pinned(), pins);

	for (const auto &group : groups) {
		if (!group->attached || group->emulated) {
			ASSERT_EQ(group->group.domain, nullptr);
			continue;
		}
		ASSERT_NE(group->group.domain, nullptr);
		if (!units.insert(group->group.hardware).second)
			continue;
		const auto &ptes = group->group.domain->ptes;
		ASSERT_EQ(ptes.size(), expected.size());
		auto at = expected.begin();
		for (const auto &[iova, pte] : ptes) {
			ASSERT_EQ(iova, at->first);
			ASSERT_EQ(pte.pfn, at->second.first) << std::hex << iova;
			ASSERT_EQ(pte.prot, at->second.second) << std::hex << iova;
			++at;
		}
	}
	ASSERT_EQ(mock::domain_count(), units.size());
	for (mock::Process *process : processes) {
		const auto locked = locked_.find(process);
		ASSERT_EQ(process->mm.locked_vm, locked == locked_.end() ? 0 : locked->second);
	}
}
