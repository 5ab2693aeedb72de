// SPDX-License-Identifier: GPL-2.0
#include "pci.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace pci {
namespace {

namespace fs = std::filesystem;

const fs::path kDevices = "/sys/bus/pci/devices";
const fs::path kVfioPci = "/sys/bus/pci/drivers/vfio-pci";
const fs::path kGroups = "/sys/kernel/iommu_groups";

// Class 01 (mass storage), subclass 08 (non-volatile), interface 02 (NVMe I/O).
constexpr unsigned kNvmeClass = 0x010802;

bool is_nvme(const fs::path& device) {
  std::ifstream file(device / "class");
  unsigned value = 0;
  return (file >> std::hex >> value) && value == kNvmeClass;
}

// The last component of what the symbolic link `link` points at, or "".
std::string link_name(const fs::path& link) {
  std::error_code missing;
  return fs::read_symlink(link, missing).filename().string();
}

std::vector<std::string> nvme_devices_in(const fs::path& folder) {
  std::vector<std::string> found;
  std::error_code missing;
  for (const auto& entry : fs::directory_iterator(folder, missing))
    if (is_nvme(entry.path())) found.push_back(entry.path().filename());
  return found;
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += " " + name;
  return text;
}

}  // namespace

Location find_by_bdf(const std::string& bdf) {
  const fs::path device = kDevices / bdf;
  if (bdf.empty() || bdf.find('/') != std::string::npos || !fs::exists(device))
    throw std::runtime_error("no PCI device '" + bdf + "' (is it domain:bus:device.function?)");
  if (!is_nvme(device)) throw std::runtime_error(bdf + " is not an NVMe controller");

  const std::string driver = link_name(device / "driver");
  if (driver != "vfio-pci")
    throw std::runtime_error(bdf + " is bound to " +
                             (driver.empty() ? "no driver" : "the driver " + driver) +
                             " and must be to vfio-pci; README.md says how");

  const std::string group = link_name(device / "iommu_group");
  if (group.empty())
    throw std::runtime_error(bdf + " is in no IOMMU group: is the IOMMU on (intel_iommu=on)?");
  return {bdf, std::stoi(group)};
}

Location find_in_group(int group) {
  const fs::path devices = kGroups / std::to_string(group) / "devices";
  if (!fs::exists(devices))
    throw std::runtime_error("no IOMMU group " + std::to_string(group) + " on this machine");
  const auto found = nvme_devices_in(devices);
  if (found.empty())
    throw std::runtime_error("no NVMe controller in IOMMU group " + std::to_string(group));
  if (found.size() > 1)
    throw std::runtime_error("several NVMe controllers in IOMMU group " + std::to_string(group) +
                             ", choose one by --bdf:" + list(found));
  return find_by_bdf(found.front());
}

Location find_only_one() {
  const auto found = nvme_devices_in(kVfioPci);
  if (found.empty())
    throw std::runtime_error(
        "no NVMe controller is bound to vfio-pci; README.md says how to bind one");
  if (found.size() > 1)
    throw std::runtime_error(
        "several NVMe controllers are bound to vfio-pci, choose one by --bdf:" + list(found));
  return find_by_bdf(found.front());
}

}  // namespace pci
