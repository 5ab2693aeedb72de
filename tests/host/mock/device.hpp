// SPDX-License-Identifier: GPL-2.0
//
// struct vfio_device as type1 knows it: something that hears of unmaps.
#pragma once

#include <functional>

#include "report.hpp"

struct vfio_device {
	// The driver's dma_unmap, if it has one.
	std::function<void(u64 iova, u64 size)> dma_unmap;
	vfio_device *next = nullptr;
	void *list = nullptr;
	u64 unmaps_heard = 0;
};
