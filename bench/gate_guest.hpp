// SPDX-License-Identifier: GPL-2.0
//
// A guest of KVM with some virtual processors that touch the first pages of a device's window.
#pragma once

#include <cstddef>
#include <vector>

namespace bench {

class GateGuest {
 public:
  static constexpr std::size_t kPages = 8;

  // window: where kPages pages of it are mapped.
  GateGuest(void* window, int vcpus);
  ~GateGuest();
  GateGuest(const GateGuest&) = delete;
  GateGuest& operator=(const GateGuest&) = delete;

  // Each of the virtual processors touches each of the pages.
  void touch();

 private:
  void add_memory(unsigned slot, unsigned long address, void* memory, std::size_t size);
  void add_vcpu();

  int kvm_, vm_;
  std::vector<int> vcpus_;
  void* memory_;
};

}  // namespace bench
