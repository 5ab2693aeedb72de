// SPDX-License-Identifier: GPL-2.0
#include "edu.hpp"

#include <linux/pci_regs.h>

#include <chrono>
#include <thread>

namespace {

constexpr std::size_t kSource = 0x80, kTarget = 0x88, kCount = 0x90, kCommand = 0x98;
constexpr std::uint32_t kStart = 1, kFromDevice = 2;
constexpr std::uint64_t kOwnMemory = 0x40000;

}  // namespace

Edu::Edu(Fd device)
    : fd_(std::move(device)),
      registers_(region(VFIO_PCI_BAR0_REGION_INDEX).size, fd_.get(),
                 static_cast<off_t>(region(VFIO_PCI_BAR0_REGION_INDEX).offset)) {
  enable_dma();
}

vfio_region_info Edu::region(unsigned index) const {
  vfio_region_info info{};
  info.argsz = sizeof(info);
  info.index = index;
  check(ioctl(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, &info), "asking for a region of the device");
  return info;
}

void Edu::enable_dma() {
  const auto offset = static_cast<off_t>(region(VFIO_PCI_CONFIG_REGION_INDEX).offset + PCI_COMMAND);
  std::uint16_t command = 0;
  check(static_cast<int>(pread(fd_.get(), &command, sizeof(command), offset)),
        "reading the device's command register");
  command |= PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  check(static_cast<int>(pwrite(fd_.get(), &command, sizeof(command), offset)),
        "writing the device's command register");
}

void Edu::copy(std::uint64_t to, std::uint64_t from) {
  transfer(from, kOwnMemory, 0);
  transfer(kOwnMemory, to, kFromDevice);
}

void Edu::transfer(std::uint64_t source, std::uint64_t target, std::uint32_t direction) {
  reg(kSource) = static_cast<std::uint32_t>(source);
  reg(kSource + 4) = static_cast<std::uint32_t>(source >> 32);
  reg(kTarget) = static_cast<std::uint32_t>(target);
  reg(kTarget + 4) = static_cast<std::uint32_t>(target >> 32);
  reg(kCount) = kSize;
  reg(kCommand) = kStart | direction;
  while (reg(kCommand) & kStart) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}
