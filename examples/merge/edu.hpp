// SPDX-License-Identifier: GPL-2.0
//
// QEMU's device edu (1234:11e8), which has 4 KiB of memory of its own and copies between that
// and an address on the bus.
#pragma once

#include "vfio.hpp"

class Edu {
 public:
  static constexpr std::uint32_t kSize = 2048;

  explicit Edu(Fd device);

  // Copies kSize bytes from one IOVA to another, through the device's memory.
  void copy(std::uint64_t to, std::uint64_t from);

 private:
  void enable_dma();
  vfio_region_info region(unsigned index) const;
  void transfer(std::uint64_t source, std::uint64_t target, std::uint32_t direction);
  volatile std::uint32_t& reg(std::size_t offset) {
    return *reinterpret_cast<volatile std::uint32_t*>(registers_.at(offset));
  }

  Fd fd_;
  Memory registers_;
};
