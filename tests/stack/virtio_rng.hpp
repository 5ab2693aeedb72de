// SPDX-License-Identifier: GPL-2.0
//
// A driver of QEMU's virtio-rng-pci (virtio 1.1, 4.1 and 5.4), which writes
// random bytes wherever it is told: a device that may have a TLB of its own.
#pragma once

#include "harness.hpp"

namespace stack {

// Those that vfio-pci holds.
std::vector<PciDevice> virtio_rngs();
// Whether the kernel has switched the device's address translation service on.
bool ats_enabled(const PciDevice& device);

class VirtioRng {
 public:
  // Maps a page for its queue at `queue_iova`, and sets the device up.
  VirtioRng(int container, int device, uint64_t queue_iova);
  ~VirtioRng();
  VirtioRng(const VirtioRng&) = delete;
  bool ok() const { return ok_; }

  // Lets the device write `size` bytes at `iova`. Returns how many it says it
  // wrote, which QEMU says even where it reached nothing; -1 if it does not
  // answer.
  int64_t fill(uint64_t iova, uint32_t size, int timeout_ms = 5000);

 private:
  bool find_structures();
  bool start();
  template <typename T>
  T read(uint64_t at) const;
  template <typename T>
  void write(uint64_t at, T value);

  const int container_, device_;
  const uint64_t iova_;
  Memory queue_;
  uint64_t common_ = 0, notify_ = 0;  // where they are in the device's file
  uint32_t notify_step_ = 0;
  bool ok_ = false;
};

}  // namespace stack
