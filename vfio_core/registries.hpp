// SPDX-License-Identifier: GPL-2.0
//
// Registries: the state that vfio.ko has only once, from the load of the module to
// its unload. It is which IOMMU drivers, groups and device sets exist,
// and the frames of gated devices.
#pragma once

#include "device_set.hpp"
#include "gate_frames.hpp"
#include "group_registry.hpp"
#include "iommu_driver.hpp"

namespace vfio {

struct Registries : Immovable {
	explicit Registries(const shim_iommu_module *modules) : iommu_drivers(modules)
	{
	}

	IommuDriverRegistry iommu_drivers;
	GroupRegistry groups;
	DeviceSetRegistry device_sets;
	GateFrames gate_frames;
};

// Valid from vfio_core_init() to vfio_core_exit().
Registries &registries();

} // namespace vfio
