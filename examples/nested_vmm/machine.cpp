// SPDX-License-Identifier: GPL-2.0
#include "machine.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

#include "protocol.hpp"

namespace {

constexpr std::uint64_t kPresent = 0x1, kWritable = 0x2, kUncached = 0x18, kLarge = 0x80;
constexpr std::uint64_t kLargePage = 2 << 20;

}  // namespace

Machine::Machine(std::size_t memory_size)
    : memory_(memory_size, -1, 0, "allocating the guest's memory"),
      kvm_(open("/dev/kvm", O_RDWR | O_CLOEXEC),
           "opening /dev/kvm (is kvm_amd or kvm_intel loaded?)"),
      vm_(ioctl(kvm_.get(), KVM_CREATE_VM, 0), "making a virtual machine"),
      vcpu_(ioctl(vm_.get(), KVM_CREATE_VCPU, 0), "making a processor"),
      run_size_(static_cast<std::size_t>(
          check(ioctl(kvm_.get(), KVM_GET_VCPU_MMAP_SIZE, 0), "asking for the size of kvm_run"))),
      run_(run_size_, vcpu_.get(), 0, "mapping kvm_run") {
  kvm_create_device device{};
  device.type = KVM_DEV_TYPE_VFIO;
  check(ioctl(vm_.get(), KVM_CREATE_DEVICE, &device), "making KVM's VFIO device");
  vfio_ = Fd(static_cast<int>(device.fd), "");
  add_memory(0, memory_);
}

std::string Machine::text(std::uint64_t address) const {
  std::string found;
  while (const char c = at<char>(address + found.size())) found += c;
  return found;
}

void Machine::add_memory(std::uint64_t address, const Mapping& mapping) {
  kvm_userspace_memory_region region{};
  region.slot = slots_++;
  region.guest_phys_addr = address;
  region.memory_size = mapping.size();
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(mapping.data());
  check(ioctl(vm_.get(), KVM_SET_USER_MEMORY_REGION, &region), "giving the guest memory");
}

void Machine::add_registers(std::uint64_t address, const Mapping& registers) {
  add_memory(address, registers);
}

Fd Machine::add_doorbell(std::uint16_t port) {
  Fd event(eventfd(0, EFD_CLOEXEC), "making an eventfd");
  kvm_ioeventfd request{};
  request.addr = port;
  request.len = sizeof(std::uint32_t);
  request.fd = event.get();
  request.flags = KVM_IOEVENTFD_FLAG_PIO;
  check(ioctl(vm_.get(), KVM_IOEVENTFD, &request), "having KVM signal an eventfd");
  return event;
}

void Machine::add_vfio_group(int group) {
  const std::int32_t fd = group;
  kvm_device_attr attribute{};
  attribute.group = KVM_DEV_VFIO_GROUP;
  attribute.attr = KVM_DEV_VFIO_GROUP_ADD;
  attribute.addr = reinterpret_cast<std::uintptr_t>(&fd);
  check(ioctl(vfio_.get(), KVM_SET_DEVICE_ATTR, &attribute),
        "adding the group to KVM's VFIO device");
}

// What firmware would leave behind: the first GiB by pages of 2 MiB, at their own addresses.
// Registers are not cached.
void Machine::make_cpu_tables() {
  using protocol::kCpuTables, protocol::kPage;
  at<std::uint64_t>(kCpuTables) = (kCpuTables + kPage) | kPresent | kWritable;
  at<std::uint64_t>(kCpuTables + kPage) = (kCpuTables + 2 * kPage) | kPresent | kWritable;
  for (std::uint64_t i = 0; i < kPage / sizeof(std::uint64_t); i++) {
    const std::uint64_t address = i * kLargePage;
    at<std::uint64_t>(kCpuTables + 2 * kPage + i * sizeof(std::uint64_t)) =
        address | kPresent | kWritable | kLarge | (address < memory_size() ? 0 : kUncached);
  }
}

// Later kernels let a processor be only in modes that its CPUID has.
void Machine::set_cpuid() {
  // In C++ the size of struct kvm_cpuid2 is not what it is in C, which is in the ioctls' numbers.
  struct Cpuid {
    std::uint32_t count = 128;
    std::uint32_t padding = 0;
    kvm_cpuid_entry2 entries[128] = {};
  };
  constexpr std::size_t kHead = 2 * sizeof(std::uint32_t);
  constexpr unsigned long kGetSupported = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, kHead);
  constexpr unsigned long kSet = _IOC(_IOC_WRITE, KVMIO, 0x90, kHead);
  Cpuid cpuid;
  check(ioctl(kvm_.get(), kGetSupported, &cpuid), "asking what processors can do");
  check(ioctl(vcpu_.get(), kSet, &cpuid), "saying what the processor can do");
}

void Machine::enter_long_mode() {
  constexpr std::uint64_t kPaging = 0x80000000, kProtected = 0x1;  // CR0
  constexpr std::uint64_t kPae = 0x20;                             // CR4
  constexpr std::uint64_t kLongMode = 0x500;                       // EFER
  constexpr std::uint8_t kExecute = 11, kReadWrite = 3;            // types of segments
  kvm_sregs sregs{};
  check(ioctl(vcpu_.get(), KVM_GET_SREGS, &sregs), "reading the processor's state");
  sregs.cr0 = kPaging | kProtected;
  sregs.cr3 = protocol::kCpuTables;
  sregs.cr4 = kPae;
  sregs.efer = kLongMode;
  kvm_segment segment{};
  segment.limit = 0xffffffff;
  segment.selector = 8;
  segment.type = kExecute;
  segment.present = segment.s = segment.g = segment.l = 1;
  sregs.cs = segment;
  segment.selector = 16;
  segment.type = kReadWrite;
  segment.l = 0;
  segment.db = 1;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment;
  check(ioctl(vcpu_.get(), KVM_SET_SREGS, &sregs), "setting the processor's state");
}

void Machine::load(std::uint64_t address, std::span<const std::byte> program) {
  if (address > protocol::kStackEnd || program.size() > (protocol::kStackEnd - address) / 2)
    throw std::runtime_error("the program leaves no room for a stack");
  std::copy(program.begin(), program.end(), memory() + address);
  make_cpu_tables();
  set_cpuid();
  enter_long_mode();

  kvm_regs regs{};
  regs.rip = address;
  regs.rsp = protocol::kStackEnd;
  regs.rflags = 0x2;
  check(ioctl(vcpu_.get(), KVM_SET_REGS, &regs), "setting the processor's registers");
}

Machine::PortWrite Machine::run() {
  const auto& run = *reinterpret_cast<const kvm_run*>(run_.data());
  int result = 0;
  do {
    result = ioctl(vcpu_.get(), KVM_RUN, 0);
  } while (result < 0 && errno == EINTR);
  check(result, "running the guest");
  if (run.exit_reason != KVM_EXIT_IO || run.io.direction != KVM_EXIT_IO_OUT ||
      run.io.size != sizeof(std::uint32_t) || run.io.count != 1)
    throw std::runtime_error("the guest has ended: KVM's exit reason is " +
                             std::to_string(run.exit_reason));

  PortWrite write{.port = run.io.port, .value = 0};
  std::memcpy(&write.value, run_.data() + run.io.data_offset, sizeof(write.value));
  return write;
}
