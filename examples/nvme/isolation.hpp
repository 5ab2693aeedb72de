// SPDX-License-Identifier: GPL-2.0
//
// Shows that the device reaches the memory that is mapped for it and no other:
// reads from the drive are aimed at memory that is not, or no longer, or not for
// writing mapped, and must leave every byte as it was.
//
// A device's writes to memory are posted: nobody answers them. So a device whose
// data the IOMMU dropped may well report success; that is no failure of the
// isolation. What counts is the memory, and the fault in the kernel's log: its
// address is the IOVA that is printed here.
#pragma once

#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "nvme.hpp"

namespace nvme {

class IsolationDemo {
 public:
  // One line for each case goes to `out`.
  IsolationDemo(vfio::Container& container, Controller& controller, std::ostream& out);

  // Whether all of it held. The controller works normally afterwards.
  bool run();

  // The DMA memory of the demo, in bytes, at most.
  static std::uint64_t dma_bytes();

 private:
  class GuardedMemory;

  // How the device ended a read.
  struct Outcome {
    bool success;      // the device believes that it wrote the data
    std::string text;  // for the report
  };

  std::size_t whole_blocks(std::size_t size) const;
  std::span<const std::byte> probe_reference() const;
  Outcome read(std::size_t size, Prps prps);
  Outcome read_into(const vfio::DmaMapping& mapping);
  std::vector<std::byte> read_normally();

  bool never_mapped();
  bool unmapped();
  bool read_only();
  bool recovered();
  static void let_fault_be_logged();
  static void let_kernel_log_more();
  bool report(const char* name, const vfio::DmaMapping& mapping, const GuardedMemory& memory,
              const Outcome& outcome);

  vfio::Container& container_;
  Controller& controller_;
  std::ostream& out_;
  std::size_t probe_bytes_;           // what a read that goes astray takes, from block 0
  std::size_t normal_bytes_;          // the same of a normal read; enough for a PRP list
  TransferBuffer normal_;             // mapped all the time
  std::vector<std::byte> reference_;  // what the drive has there: normal_bytes_
};

}  // namespace nvme
