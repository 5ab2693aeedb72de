// SPDX-License-Identifier: GPL-2.0
//
// The parameters of vfio_iommu_type1.
#pragma once

#include <atomic>
#include <set>
#include <utility>
#include <vector>

#include "shim/base.h"

struct vfio_gate_listener;

namespace mock {

struct Type1Params {
	std::atomic<bool> allow_unsafe_interrupts = false;
	std::atomic<bool> disable_hugepages = false;
	std::atomic<u32> dma_entry_limit = 65535;
	std::atomic<u32> pin_workers = 1;

	void reset()
	{
		allow_unsafe_interrupts = false;
		disable_hugepages = false;
		dma_entry_limit = 65535;
		pin_workers = 1;
	}
};

extern Type1Params type1_params;

// vfio.ko's gated devices, as vfio_iommu_type1 knows them.
struct Gates {
	// Whether it is the kernel's own vfio.ko.
	bool absent = false;
	// The frames that are shut, by their first and last pfns.
	std::vector<std::pair<u64, u64>> shut;
	std::set<vfio_gate_listener *> listeners;

	// Tells all listeners. Returns the last error.
	int changed() const;
};

extern Gates gates;

} // namespace mock
