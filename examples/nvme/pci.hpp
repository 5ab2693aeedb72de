// SPDX-License-Identifier: GPL-2.0
//
// Finds the NVMe controller to drive, and its IOMMU group, in sysfs. Only reads
// world-readable files; binding a device to vfio-pci is the administrator's job.
#pragma once

#include <string>

namespace pci {

struct Location {
  std::string bdf;  // domain:bus:device.function, as sysfs spells it
  int group;        // its IOMMU group: /dev/vfio/<group>
};

// Each throws std::runtime_error, saying what to do about it, if there is no
// such device, it is not an NVMe controller, not bound to vfio-pci, or not
// behind an IOMMU.
Location find_by_bdf(const std::string& bdf);
Location find_in_group(int group);
Location find_only_one();

}  // namespace pci
