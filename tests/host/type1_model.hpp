// SPDX-License-Identifier: GPL-2.0
//
// A plain model of a container for random tests: what is mapped, pinned,
// dirty and attached, without any of the core's cleverness. It says what each
// call must give, and compares all that the mock can see with itself.
#pragma once

#include <algorithm>
#include <memory>

#include "type1_container.hpp"

class Type1Model {
public:
	struct Mapping {
		u64 iova, npages, uva;
		u32 flags;
		mock::Process *owner;
		bool vaddr_invalid = false;
		// What hardware got when it was pinned; empty if it was not.
		std::vector<mock::Page> pinned;
		std::map<u64, std::pair<mock::Page, u32>> external; // by page
		std::set<u64> dirty;
		u64 charged = 0;
	};

	struct Group {
		iommu_group group;
		bool emulated;
		bool attached = false;
		bool pinned_scope = false;
		Group(mock::Hardware *hardware, int id) : group(hardware, id), emulated(!hardware)
		{
		}
	};

	explicit Type1Model(std::vector<mock::Process *> processes)
		: processes(std::move(processes))
	{
	}

	bool hardware() const;
	bool emulated() const;
	bool any_invalid() const;
	// Everything dirty as long as there is a group that does not pin.
	bool unpinned_scope() const;

	long map(u64 iova, u64 npages, u64 uva, u32 flags, mock::Process &caller);
	s64 unmap(u64 first, u64 last, bool vaddr);
	long give_vaddr(u64 iova, u64 npages, u64 uva, mock::Process &caller);
	long attach(Group &group);
	void detach(Group &group);
	long pin(Group &group, u64 iova, u32 npages, u32 prot);
	void unpin(u64 iova, u32 npages);
	void start_dirty();
	void stop_dirty();
	// The bitmap of [iova, iova + npages) over before.
	long get_dirty(u64 iova, u64 npages, std::vector<u64> &bitmap);
	// The same as the mappings go.
	s64 unmap_dirty(u64 iova, u64 npages, std::vector<u64> &bitmap);
	void mark_written(u64 iova, u64 size);

	// Compares: PTEs of each domain, pins, locked_vm, number of domains.
	void check() const;

	std::map<u64, Mapping> mappings;
	std::vector<std::unique_ptr<Group>> groups;
	std::vector<mock::Process *> processes;
	u64 entry_limit = 65535;
	bool dirty_tracking = false;

private:
	Mapping *at(u64 iova);
	bool bisects(u64 first, u64 last);
	long pin_all(Mapping &mapping);
	void unpin_all(Mapping &mapping);
	static u64 counted(const Mapping &mapping);
	static u64 external_counted(const Mapping &mapping);
	static void set_charge(Mapping &mapping, u64 npages);
	void erase(u64 iova);
	void report(const Mapping &mapping, u64 base, std::vector<u64> &bitmap) const;

	std::map<mock::Process *, u64> locked_;
};
