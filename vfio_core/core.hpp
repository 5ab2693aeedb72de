// SPDX-License-Identifier: GPL-2.0
//
// Core: what the module has one of.
#pragma once

#include "device_set.hpp"
#include "group_list.hpp"
#include "iommu_driver.hpp"

namespace vfio {

struct Core : Immovable {
	IommuDriverRegistry iommu_drivers;
	GroupList groups;
	DeviceSets device_sets;
};

// From vfio_core_init() to vfio_core_exit().
Core &core();

} // namespace vfio
