// SPDX-License-Identifier: GPL-2.0
#include "guest.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace {

constexpr std::size_t kCodeAt = 0x1000, kRegistersAt = 0x8000;

// In 16 bits, as a processor begins.
constexpr std::uint8_t kCode[] = {
    0xba, 0xf8, 0x03,        //       mov dx, 0x3f8
    0x66, 0xa1, 0x00, 0x80,  // next: mov eax, [0x8000]
    0x66, 0xef,              //       out dx, eax
    0xeb, 0xf8,              //       jmp next
};

long run_size(int kvm) {
  return check(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "asking for the size of kvm_run");
}

}  // namespace

Guest::Guest(const Mapping& registers)
    : kvm_(check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "opening /dev/kvm")),
      vm_(check(ioctl(kvm_.get(), KVM_CREATE_VM, 0), "making a virtual machine")),
      vcpu_(check(ioctl(vm_.get(), KVM_CREATE_VCPU, 0), "making a processor")),
      memory_(kRegistersAt),
      run_(static_cast<std::size_t>(run_size(kvm_.get())), vcpu_.get()) {
  std::memcpy(memory_.at(kCodeAt), kCode, sizeof(kCode));
  add_memory(0, 0, memory_);
  add_memory(1, kRegistersAt, registers);

  kvm_sregs segments{};
  check(ioctl(vcpu_.get(), KVM_GET_SREGS, &segments), "reading the processor's state");
  segments.cs.base = 0;
  segments.cs.selector = 0;
  check(ioctl(vcpu_.get(), KVM_SET_SREGS, &segments), "setting the processor's segments");
  kvm_regs state{};
  state.rip = kCodeAt;
  state.rflags = 2;  // a bit that is always set
  check(ioctl(vcpu_.get(), KVM_SET_REGS, &state), "setting the processor's registers");
}

void Guest::add_memory(std::uint32_t slot, std::uint64_t address, const Mapping& mapping) {
  kvm_userspace_memory_region region{};
  region.slot = slot;
  region.guest_phys_addr = address;
  region.memory_size = mapping.size();
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(mapping.at(0));
  check(ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region), "giving the guest memory");
}

std::uint32_t Guest::read_register() {
  while (ioctl(vcpu_.get(), KVM_RUN, 0) != 0)
    if (errno != EINTR) check(-1, "running the guest");
  const auto* run = reinterpret_cast<const kvm_run*>(run_.at(0));
  if (run->exit_reason != KVM_EXIT_IO) throw std::runtime_error("the guest has stopped");
  std::uint32_t value = 0;
  std::memcpy(&value, run_.at(run->io.data_offset), sizeof(value));
  return value;
}
