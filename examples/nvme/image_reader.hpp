// SPDX-License-Identifier: GPL-2.0
//
// Reads a whole namespace with many commands in flight, and hands the data on in
// the order of its blocks although the commands complete in any order.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "nvme.hpp"

namespace nvme {

class ImageReader {
 public:
  struct Report {
    std::uint64_t commands = 0;
    std::uint64_t bytes = 0;
    std::uint64_t interrupts = 0;
    double seconds = 0;
  };
  using Sink = std::function<void(std::span<const std::byte>)>;
  using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

  // As many commands in flight as the controller's I/O queue is deep.
  ImageReader(vfio::Container& container, Controller& controller);

  // `sink` gets all the data, in order. If it throws, or a command fails, the
  // controller is left disabled.
  Report run(const Sink& sink, const Progress& progress);

  // The DMA memory of a reader with that depth, in bytes, at most.
  static std::uint64_t dma_bytes(unsigned depth);

 private:
  struct Slot {
    TransferBuffer buffer;
    bool done = false;
  };

  Report read_all(const Sink& sink, const Progress& progress);
  std::uint64_t chunk_size(std::uint64_t chunk) const;
  Slot& slot_of(std::uint64_t chunk) { return slots_[chunk % slots_.size()]; }
  void submit(std::uint64_t chunk);
  void take(const Completion& completion);

  Controller& controller_;
  std::uint64_t chunk_bytes_;
  std::uint64_t total_bytes_;
  std::vector<Slot> slots_;
};

}  // namespace nvme
