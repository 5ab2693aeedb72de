// SPDX-License-Identifier: GPL-2.0
//
// A fake IOMMU API: hardware, groups behind it, and domains that remember
// each page's PTE, with marks where a map call began and ended, so that an
// unmap of half a mapping is seen. A domain must be empty when it is freed.
#pragma once

#include <atomic>
#include <map>
#include <set>

#include "dma/shim/iommu.h"
#include "memory.hpp"

namespace mock {

// One make of IOMMU unit.
struct Hardware {
	u64 driver = 1;
	// Domains of the same driver that may serve this unit's groups.
	u64 family = 1;
	u64 pgsizes = ~(kPage - 1);
	u64 aperture_first = 0;
	u64 aperture_last = (u64{1} << 48) - 1;
	bool coherent = true;
	bool nests = true;
	bool has_msi_cookie = true;
	// It unmaps what one call mapped as a whole, however little of it is
	// asked for, as virtio's does.
	bool unmaps_whole_calls = false;
	// It unmaps what one of its pages maps as a whole, whatever the calls were, as
	// VT-d's does; the pages are the largest that fit. And it may be asked to map
	// what is unmapped and not flushed.
	bool unmaps_whole_pages = false;
};

// Tells whether groups come and go while others are at work in a domain: the drivers of older kernels do
// not keep these apart themselves.
struct DomainUsers {
	// For the time of a call that maps, unmaps or flushes, or of one that attaches or detaches.
	class Call {
	public:
		Call(std::atomic<s64> &own, const std::atomic<s64> &other) : own_(own)
		{
			own_++;
			if (other)
				violation("a domain is used while a group comes or goes");
		}
		~Call()
		{
			own_--;
		}
		Call(const Call &) = delete;
		Call &operator=(const Call &) = delete;

	private:
		std::atomic<s64> &own_;
	};

	Call work()
	{
		return {working, changing};
	}

	Call change()
	{
		return {changing, working};
	}

	std::atomic<s64> working = 0, changing = 0;
};

struct Pte {
	u64 pfn;
	u32 prot;
	bool start;
	bool last;
};

} // namespace mock

struct iommu_domain {
	explicit iommu_domain(const mock::Hardware &hardware) : hardware(hardware)
	{
	}

	const mock::Hardware hardware;
	mutable std::mutex mutex;
	mock::DomainUsers users;
	std::map<u64, mock::Pte> ptes;
	// Pages that were unmapped and not flushed, iova -> pfn.
	std::multimap<u64, u64> stale;
	std::set<iommu_group *> groups;
	bool enforces_coherency = false;
	bool nesting = false;
	u64 msi_window = ~u64{0};
	u64 maps = 0;
	u64 unmaps = 0;
	u64 flushes = 0;
};

struct iommu_group {
	explicit iommu_group(mock::Hardware *hardware = nullptr, int id = 0)
		: hardware(hardware), id(id)
	{
	}
	~iommu_group();

	mock::Hardware *hardware;
	const int id;
	std::vector<shim_reserved_region> reserved;
	bool msi_isolated = true;
	iommu_domain *domain = nullptr;
};

namespace mock {

// Domains that are not freed.
std::vector<iommu_domain *> live_domains();
u64 domain_count();

} // namespace mock
