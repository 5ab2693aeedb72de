// SPDX-License-Identifier: GPL-2.0
//
// What a mediated device pins through: a vfio_device with mappings, as vfio.ko
// and type1 have them, and DMA addresses for a device.
//
// A page is pinned in mock::phys, and counted there as mapped while it has a
// DMA address, so that unpinning it with one is a violation.
#pragma once

#include <functional>
#include <map>
#include <mutex>

#include "mdev.hpp"
#include "memory.hpp"

struct vfio_device {
	struct Mapping {
		u64 npages;
		u64 pfn;
		u64 stride;
		u32 prot;
		bool leaving;
	};

	~vfio_device();

	// All in pages.
	void map(u64 first, u64 npages, u64 pfn, u32 prot = 3, u64 stride = 1);
	// As type1: asks the driver for as long as a page is pinned.
	void unmap(u64 first);

	// 0 if it is not mapped.
	u64 pfn_at(u64 offset) const;
	// How many pages are pinned, and how many pins they have in all.
	u64 pinned() const;
	u64 pins() const;

	// The driver's.
	std::function<void(u64 iova, u64 size)> dma_unmap;
	// Called by whoever pins, when the pages are pinned; without locks.
	std::function<void(u64 first, u64 npages)> after_pin;
	// As of 6.1: pages can be pinned while the mapping is being unmapped.
	bool stock = false;
	bool open = true;
	// How often one unmap asked at most.
	u64 most_asked = 0;

	mutable std::mutex mutex;
	std::map<u64, Mapping> mappings;
	std::map<u64, u64> counts;
};

namespace mock {

// Addresses that follow each other where pfns do, or anywhere.
void set_dma_direct(bool direct);
// How many pages have an address; the pfn behind one.
u64 dma_mapped();
u64 dma_pfn(u64 dma);

} // namespace mock
