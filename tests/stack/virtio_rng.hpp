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

// s390x takes a device out of use that was refused an address, until somebody
// writes to a file of its; it is found anew then, by the kernel's own driver.
// Gives such a device, which is closed, back to vfio-pci.
void recover(const PciDevice& device);

// Memory that a device writes random bytes to.
class RandomTarget {
 public:
  RandomTarget() = default;
  RandomTarget(uint8_t* data, size_t size) : data_(data), size_(size) {}

  void wipe();
  // Whether [offset, offset + size) holds what a device wrote: of 64 random
  // bytes hardly half are the same.
  bool random_at(size_t offset, size_t size) const;
  // Whether all but [offset, offset + size) is as wipe() left it.
  bool blank_but(size_t offset, size_t size) const;
  bool blank() const { return blank_but(0, 0); }
  void expect_only(size_t offset, size_t size) const;

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

class VirtioRng {
 public:
  // Maps a page for its queue at `queue_iova`, and sets the device up.
  VirtioRng(int container, int device, uint64_t queue_iova);
  // The queue is in a page that the caller has mapped at `queue_iova`.
  VirtioRng(int device, uint8_t* queue, uint64_t queue_iova);
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

  const int container_ = -1, device_;
  const uint64_t iova_;
  Memory own_;  // for the queue, or none
  uint8_t* const queue_;
  uint64_t common_ = 0, notify_ = 0;  // where they are in the device's file
  uint32_t notify_step_ = 0;
  bool ok_ = false;
};

}  // namespace stack
