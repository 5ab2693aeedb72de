// SPDX-License-Identifier: GPL-2.0
#include "device.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <filesystem>

namespace {

std::string group_node(const std::string& bdf) {
  std::error_code error;
  const auto group =
      std::filesystem::read_symlink("/sys/bus/pci/devices/" + bdf + "/iommu_group", error);
  if (error) throw std::system_error(error, "looking for the IOMMU group of " + bdf);
  return "/dev/vfio/" + group.filename().string();
}

}  // namespace

Group::Group(const std::string& bdf, int iommu_driver)
    : container_(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC),
                 "opening /dev/vfio/vfio (is the module vfio loaded?)"),
      group_(open(group_node(bdf).c_str(), O_RDWR | O_CLOEXEC), "opening " + group_node(bdf)) {
  const int container = container_.get();
  check(ioctl(fd(), VFIO_GROUP_SET_CONTAINER, &container), "adding the group to the container");
  check(ioctl(container, VFIO_SET_IOMMU, iommu_driver), "choosing the container's IOMMU driver");
}

Device::Device(const Group& group, const std::string& bdf)
    : fd_(ioctl(group.fd(), VFIO_GROUP_GET_DEVICE_FD, bdf.c_str()), "opening the device " + bdf),
      bar_(region(VFIO_PCI_BAR0_REGION_INDEX)),
      registers_(bar_.size, fd_.get(), static_cast<off_t>(bar_.offset), "mapping BAR 0 of " + bdf) {
  enable_dma();
}

Device::Region Device::region(unsigned index) const {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  check(ioctl(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, &info), "asking for a region of the device");
  return {info.offset, info.size};
}

// The guest has no PCI configuration space: the VMM does what its driver would.
void Device::enable_dma() {
  const auto offset = static_cast<off_t>(region(VFIO_PCI_CONFIG_REGION_INDEX).offset + PCI_COMMAND);
  std::uint16_t command = 0;
  check(static_cast<int>(pread(fd_.get(), &command, sizeof(command), offset)),
        "reading the device's command register");
  command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  check(static_cast<int>(pwrite(fd_.get(), &command, sizeof(command), offset)),
        "writing the device's command register");
}
