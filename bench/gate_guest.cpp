// SPDX-License-Identifier: GPL-2.0
#include "gate_guest.hpp"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "memory.hpp"
#include "system.hpp"

namespace bench {
namespace {

constexpr std::size_t kCodeAt = 0x1000, kWindowAt = 0x8000;

// In 16 bits, as a processor begins: reads a word of each page, tells, and begins anew.
std::vector<std::uint8_t> code() {
  std::vector<std::uint8_t> bytes;
  for (std::size_t page = 0; page < GateGuest::kPages; page++) {
    const std::size_t at = kWindowAt + page * kPage;
    // mov ax, [at]
    bytes.insert(bytes.end(),
                 {0xa1, static_cast<std::uint8_t>(at), static_cast<std::uint8_t>(at >> 8)});
  }
  // out 0x10, al
  bytes.insert(bytes.end(), {0xe6, 0x10});
  // jmp to the begin
  const auto back = static_cast<std::uint8_t>(-static_cast<int>(bytes.size() + 2));
  bytes.insert(bytes.end(), {0xeb, back});
  return bytes;
}

}  // namespace

GateGuest::GateGuest(void* window, int vcpus) : kvm_(open_or_throw("/dev/kvm")) {
  vm_ = ioctl(kvm_, KVM_CREATE_VM, 0);
  if (vm_ < 0) throw_errno("KVM_CREATE_VM");
  memory_ = mmap(nullptr, kWindowAt, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED) throw_errno("a guest's memory");
  const std::vector<std::uint8_t> program = code();
  std::memcpy(static_cast<char*>(memory_) + kCodeAt, program.data(), program.size());
  add_memory(0, 0, memory_, kWindowAt);
  add_memory(1, kWindowAt, window, kPages * kPage);
  for (int i = 0; i < vcpus; i++) add_vcpu();
}

GateGuest::~GateGuest() {
  for (const int vcpu : vcpus_) close(vcpu);
  close(vm_);
  close(kvm_);
  munmap(memory_, kWindowAt);
}

void GateGuest::add_memory(unsigned slot, unsigned long address, void* memory, std::size_t size) {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.guest_phys_addr = address;
  region.memory_size = size;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(memory);
  if (ioctl(vm_, KVM_SET_USER_MEMORY_REGION, &region) < 0) throw_errno("a guest's memory");
}

void GateGuest::add_vcpu() {
  const int vcpu = ioctl(vm_, KVM_CREATE_VCPU, vcpus_.size());
  if (vcpu < 0) throw_errno("KVM_CREATE_VCPU");
  vcpus_.push_back(vcpu);
  kvm_sregs segments{};
  if (ioctl(vcpu, KVM_GET_SREGS, &segments) < 0) throw_errno("KVM_GET_SREGS");
  segments.cs.base = 0;
  segments.cs.selector = 0;
  if (ioctl(vcpu, KVM_SET_SREGS, &segments) < 0) throw_errno("KVM_SET_SREGS");
  kvm_regs state{};
  state.rip = kCodeAt;
  state.rflags = 2;  // a bit that is always set
  if (ioctl(vcpu, KVM_SET_REGS, &state) < 0) throw_errno("KVM_SET_REGS");
}

void GateGuest::touch() {
  for (const int vcpu : vcpus_) {
    if (ioctl(vcpu, KVM_RUN, 0) < 0) throw_errno("KVM_RUN");
    void* shared = mmap(nullptr, kPage, PROT_READ, MAP_SHARED, vcpu, 0);
    if (shared == MAP_FAILED) throw_errno("a guest's state");
    const unsigned reason = static_cast<const kvm_run*>(shared)->exit_reason;
    munmap(shared, kPage);
    if (reason != KVM_EXIT_IO) throw std::runtime_error("a guest has stopped");
  }
}

}  // namespace bench
