// SPDX-License-Identifier: GPL-2.0
#include "vfio.hpp"

#include <fcntl.h>
#include <linux/pci_regs.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

long check(long result, const std::string& doing) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), doing);
  return result;
}

Mapping::Mapping(std::size_t size, int fd, off_t offset) : size_(size) {
  const int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, offset);
  check(address == MAP_FAILED ? -1 : 0, "mapping memory or registers");
  data_ = static_cast<std::byte*>(address);
}

Device::Device(const std::string& bdf)
    : device_(open_device(bdf)),
      bar_(region(VFIO_PCI_BAR0_REGION_INDEX)),
      registers_(sysconf(_SC_PAGESIZE), device_.get(), static_cast<off_t>(bar_.offset)) {
  enable();
}

Fd Device::open_device(const std::string& bdf) {
  const auto link = std::filesystem::read_symlink("/sys/bus/pci/devices/" + bdf + "/iommu_group");
  const std::string node = "/dev/vfio/" + link.filename().string();
  container_ = Fd(check(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), "opening a container"));
  group_ = Fd(check(open(node.c_str(), O_RDWR | O_CLOEXEC), "opening " + node));
  const int container = container_.get();
  check(ioctl(group_.get(), VFIO_GROUP_SET_CONTAINER, &container), "using the container");
  check(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "setting the IOMMU");
  return Fd(check(ioctl(group_.get(), VFIO_GROUP_GET_DEVICE_FD, bdf.c_str()), "opening " + bdf));
}

vfio_region_info Device::region(unsigned index) const {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  check(ioctl(device_.get(), VFIO_DEVICE_GET_REGION_INFO, &info), "asking for a region");
  return info;
}

void Device::enable() {
  const auto at = static_cast<off_t>(region(VFIO_PCI_CONFIG_REGION_INDEX).offset + PCI_COMMAND);
  std::uint16_t command = 0;
  check(pread(device_.get(), &command, sizeof(command), at), "reading the command register");
  command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  check(pwrite(device_.get(), &command, sizeof(command), at), "writing the command register");
}

std::uint32_t Device::call_read(std::size_t at) const {
  std::uint32_t value = 0;
  check(pread(device_.get(), &value, sizeof(value), static_cast<off_t>(bar_.offset + at)),
        "reading a register");
  return value;
}

void Device::call_write(std::size_t at, std::uint32_t value) {
  check(pwrite(device_.get(), &value, sizeof(value), static_cast<off_t>(bar_.offset + at)),
        "writing a register");
}

void Device::map_for_dma(const Mapping& memory, std::uint64_t iova) {
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof(request);
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  request.vaddr = reinterpret_cast<std::uintptr_t>(memory.at(0));
  request.iova = iova;
  request.size = memory.size();
  check(ioctl(container_.get(), VFIO_IOMMU_MAP_DMA, &request), "mapping memory for DMA");
}
