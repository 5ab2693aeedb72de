// SPDX-License-Identifier: GPL-2.0
#include "bar.hpp"

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "system.hpp"

namespace bench {
namespace {}  // namespace

Bar::Bar(int device, std::uint32_t region) : device_(device) {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = region;
  if (ioctl(device_, VFIO_DEVICE_GET_REGION_INFO, &info) < 0) throw_errno("GET_REGION_INFO");
  enable_memory();
  size_ = info.size;
  start_ = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, device_,
                static_cast<off_t>(info.offset));
  if (start_ == MAP_FAILED) throw_errno("mmap of a BAR");
}

Bar::~Bar() {
  munmap(start_, size_);
  close(device_);
}

void Bar::enable_memory() {
  vfio_region_info config{};
  config.argsz = sizeof(config);
  config.index = VFIO_PCI_CONFIG_REGION_INDEX;
  if (ioctl(device_, VFIO_DEVICE_GET_REGION_INFO, &config) < 0) throw_errno("GET_REGION_INFO");
  const off_t at = static_cast<off_t>(config.offset) + PCI_COMMAND;
  std::uint16_t command = 0;
  if (pread(device_, &command, sizeof(command), at) != sizeof(command)) throw_errno("read config");
  command |= PCI_COMMAND_MEMORY;
  if (pwrite(device_, &command, sizeof(command), at) != sizeof(command))
    throw_errno("write config");
}

}  // namespace bench
