// SPDX-License-Identifier: GPL-2.0
//
// A guest of KVM that reads the first register of a device again and again, as it is mapped into
// the guest.
#pragma once

#include <linux/kvm.h>

#include "vfio.hpp"

class Guest {
 public:
  explicit Guest(const Mapping& registers);

  // What the guest reads next. The virtual processor runs in the caller's thread.
  std::uint32_t read_register();

 private:
  void add_memory(std::uint32_t slot, std::uint64_t address, const Mapping& mapping);

  Fd kvm_, vm_, vcpu_;
  Mapping memory_, run_;
};
