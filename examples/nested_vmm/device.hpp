// SPDX-License-Identifier: GPL-2.0
//
// A PCI device that vfio-pci has: its group, a container for it, and its registers. It is in
// two steps, because KVM has to know the group before the device is opened.
#pragma once

#include <string>

#include "system.hpp"

class Group {
 public:
  // Puts the group of the device into a container of its own, with this IOMMU driver.
  Group(const std::string& bdf, int iommu_driver);

  int container() const { return container_.get(); }
  int fd() const { return group_.get(); }

 private:
  // In this order: a container is left by closing the group.
  Fd container_, group_;
};

class Device {
 public:
  Device(const Group& group, const std::string& bdf);

  // BAR 0.
  const Mapping& registers() const { return registers_; }

 private:
  struct Region {
    std::uint64_t offset, size;
  };
  Region region(unsigned index) const;
  void enable_dma();

  Fd fd_;
  Region bar_;
  Mapping registers_;
};
