// SPDX-License-Identifier: GPL-2.0
//
// The parameters of vfio_iommu_type1.
#pragma once

#include <atomic>

#include "shim/base.h"

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

} // namespace mock
