// SPDX-License-Identifier: GPL-2.0
//
// A device behind an emulated IOMMU, of tests/kmod: what pins is a driver in the kernel, so the
// device makes many calls in one ioctl.
#pragma once

#include <cstdint>
#include <memory>

#include "container.hpp"

namespace bench {

class PinDevice {
 public:
  // Whose address space the driver pins from: the program's, or a kernel thread's, which has none.
  enum From { kFromCaller, kFromWorker };

  // Makes the device. Throws what fails, as all of it does.
  PinDevice();
  ~PinDevice();
  PinDevice(const PinDevice&) = delete;
  PinDevice& operator=(const PinDevice&) = delete;

  // The device's group alone is in it.
  Container& container() { return *container_; }

  void pin(std::uint64_t iova, std::uint64_t npages, std::uint32_t per_call,
           From from = kFromCaller);
  void unpin(std::uint64_t iova, std::uint64_t npages, std::uint32_t per_call);

 private:
  void sweep(std::uint64_t iova, std::uint64_t npages, std::uint32_t per_call, bool unpin,
             From from);

  int control_ = -1;
  int id_ = -1;
  std::unique_ptr<Container> container_;
  int device_ = -1;
};

}  // namespace bench
