// SPDX-License-Identifier: GPL-2.0
//
// A virtual machine of KVM: memory from guest address 0 on, one processor in 64-bit mode, and
// the registers of devices where the guest reaches them without an exit. Without firmware, an
// interrupt controller or a clock.
#pragma once

#include <linux/kvm.h>

#include <span>
#include <stdexcept>
#include <string>

#include "system.hpp"

class Machine {
 public:
  explicit Machine(std::size_t memory_size);

  std::byte* memory() const { return memory_.data(); }
  std::size_t memory_size() const { return memory_.size(); }

  // The T at a guest address that the guest has named. Throws if it is not in its memory.
  template <typename T>
  T& at(std::uint64_t address) const {
    if (address % alignof(T) || address > memory_size() || memory_size() - address < sizeof(T))
      throw std::runtime_error("the guest has named an address outside its memory");
    return *reinterpret_cast<T*>(memory() + address);
  }
  // A string there, which is short.
  std::string text(std::uint64_t address) const;

  // Guest accesses to so much from the address on are accesses to the mapping.
  void add_registers(std::uint64_t address, const Mapping& registers);
  // A guest's write to the port signals an eventfd, which is returned, and does not stop run().
  Fd add_doorbell(std::uint16_t port);
  // KVM gives itself to VFIO: drivers of devices that are opened after this know their machine.
  void add_vfio_group(int group);

  // Loads a program and lets the processor begin at its first byte.
  void load(std::uint64_t address, std::span<const std::byte> program);

  // Runs the guest until it writes to a port.
  struct PortWrite {
    std::uint16_t port;
    std::uint32_t value;
  };
  PortWrite run();

 private:
  void add_memory(std::uint64_t address, const Mapping& mapping);
  void make_cpu_tables();
  void set_cpuid();
  void enter_long_mode();

  Mapping memory_;
  Fd kvm_, vm_, vfio_, vcpu_;
  std::uint32_t slots_ = 0;
  std::size_t run_size_;
  Mapping run_;
};
