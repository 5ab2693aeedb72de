// SPDX-License-Identifier: GPL-2.0
//
// A guest of KVM whose vCPU touches the register window of a gated device.
#include <linux/kvm.h>
#include <string.h>

#include <atomic>
#include <thread>

#include "gate.hpp"
#include "kvm.hpp"

namespace stack {
namespace {

constexpr uint32_t kIdentification = 0x010000ed;  // edu's, at offset 0
constexpr uint64_t kWindow = 0x8000;

class GateKvm : public GateTest {
 protected:
  void SetUp() override {
    GateTest::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    // Enables the device's memory.
    edu = std::make_unique<Edu>(s.device());
    ASSERT_TRUE(edu->ok());
    kvm = open_kvm();
    ASSERT_OK(kvm.get());
    vm = make_vm(kvm);
    ASSERT_OK(vm.get());
    window = Memory(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, s.device(),
                    static_cast<off_t>(region_info(s.device(), 0).offset));
    ASSERT_TRUE(window.ok());
    static const uint8_t kCode[] = {
        0xba, 0xf8, 0x03,        // mov dx, 0x3f8
        0x66, 0xa1, 0x00, 0x80,  // mov eax, [0x8000]
        0x66, 0xef,              // out dx, eax
        0xeb, 0xf8,              // jmp to the second mov
    };
    memcpy(ram.at(0x1000), kCode, sizeof kCode);
    ASSERT_OK(set_slot(0, 0, ram.data(), kWindow));
    ASSERT_OK(set_slot(1, kWindow, window.data(), kPage));
    start_vcpu();
  }

  long set_slot(uint32_t slot, uint64_t gpa, void* memory, uint64_t size) {
    kvm_userspace_memory_region region{};
    region.slot = slot;
    region.guest_phys_addr = gpa;
    region.memory_size = size;
    region.userspace_addr = reinterpret_cast<uintptr_t>(memory);
    return call(vm, KVM_SET_USER_MEMORY_REGION, &region);
  }

  void start_vcpu() {
    vcpu = Fd(static_cast<int>(call(vm, KVM_CREATE_VCPU, 0ul)));
    ASSERT_OK(vcpu.get());
    const long size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0ul);
    ASSERT_GE(size, static_cast<long>(sizeof(kvm_run)));
    shared = Memory(static_cast<size_t>(size), PROT_READ | PROT_WRITE,
                    MAP_SHARED, vcpu);
    ASSERT_TRUE(shared.ok());
    run = reinterpret_cast<kvm_run*>(shared.data());
    kvm_sregs sregs{};
    ASSERT_OK(call(vcpu, KVM_GET_SREGS, &sregs));
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    ASSERT_OK(call(vcpu, KVM_SET_SREGS, &sregs));
    kvm_regs regs{};
    regs.rip = 0x1000;
    regs.rflags = 2;
    ASSERT_OK(call(vcpu, KVM_SET_REGS, &regs));
  }

  // What the guest reads of the device, or 0 if KVM_RUN fails otherwise than
  // by a signal.
  uint32_t guest_reads() {
    long result = 0;
    do result = call(vcpu, KVM_RUN, 0ul);
    while (result == -EINTR);
    if (result < 0 || run->exit_reason != KVM_EXIT_IO) return 0;
    uint32_t value = 0;
    memcpy(&value, shared.data() + run->io.data_offset, sizeof value);
    return value;
  }

  std::unique_ptr<Edu> edu;
  Fd kvm, vm, vcpu;
  Memory window, ram{16 * kPage}, shared;
  kvm_run* run = nullptr;
};

TEST_F(GateKvm, AVcpuWaitsInsideKvm) {
  struct sigaction action {
  }, old;
  action.sa_handler = [](int) {};
  sigaction(SIGUSR1, &action, &old);
  ASSERT_EQ(guest_reads(), kIdentification);
  for (int i = 0; i < 3; i++) {
    ASSERT_OK(scheduler.block()) << "taken from the running guest, too";
    std::atomic<uint32_t> value{0};
    std::thread thread([&] { value = guest_reads(); });
    EXPECT_TRUE(await_waiting(s.device(), 1));
    pthread_kill(thread.native_handle(), SIGUSR1);
    usleep(100000);
    EXPECT_EQ(value, 0u);
    EXPECT_EQ(gate_info(s.device()).waiting, 1u) << "a kick does not end it";
    ASSERT_OK(scheduler.open());
    thread.join();
    EXPECT_EQ(value, kIdentification);
  }
  sigaction(SIGUSR1, &old, nullptr);
}

TEST_F(GateKvm, AMemorySlotIsAddedWhileAVcpuWaits) {
  ASSERT_OK(scheduler.block());
  std::atomic<uint32_t> value{0};
  std::thread runs([&] { value = guest_reads(); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  Memory more(kPage);
  std::atomic<long> added{1};
  std::thread adds(
      [&] { added = set_slot(2, 0x100000, more.data(), more.size()); });
  usleep(100000);
  ASSERT_OK(scheduler.open());
  runs.join();
  adds.join();
  EXPECT_EQ(value, kIdentification);
  EXPECT_EQ(added, 0);
}

// A guest that runs all the time, and a VMM that takes its slot away when it is
// told of a trap: KVM_RUN never fails.
TEST_F(GateKvm, AVmmTakesItsSlotAway) {
  Fd told = make_eventfd();
  const auto gate_event = [&](uint32_t flags, uint32_t change = 0) {
    vfio_device_gate_event arg{sizeof arg, flags, told, change, 0};
    EXPECT_OK(call(s.device(), VFIO_DEVICE_GATE_EVENT, &arg));
    return arg;
  };
  gate_event(VFIO_DEVICE_GATE_EVENT_SET);
  std::atomic<bool> stop{false}, trapped{false};
  std::atomic<uint32_t> reads{0}, exits{0};
  std::atomic<long> failed{0};
  std::thread guest([&] {
    while (!stop) {
      failed = call(vcpu, KVM_RUN, 0ul);
      if (failed < 0) break;
      if (run->exit_reason == KVM_EXIT_IO) reads++;
      if (run->exit_reason == KVM_EXIT_MMIO) exits++;
    }
  });
  std::thread vmm([&] {
    for (int i = 0; i < 4; i++) {
      if (!wait_event(told, 10000)) return;
      const vfio_device_gate_event event = gate_event(0);
      const bool gone = event.state == VFIO_GATE_TRAPPED;
      EXPECT_OK(set_slot(1, kWindow, window.data(), gone ? 0 : kPage));
      trapped = gone;
      if (gone) gate_event(VFIO_DEVICE_GATE_EVENT_ACK, event.change);
    }
  });
  for (int i = 0; i < 2; i++) {
    if (i) {
      ASSERT_OK(scheduler.block());
    }
    EXPECT_OK(scheduler.trap(0, 5000000));
    EXPECT_TRUE(trapped) << "it waited";
    EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_TRAPPED});
    const uint32_t before = exits;
    for (int j = 0; j < 5000 && exits == before; j++) usleep(1000);
    EXPECT_NE(exits, before) << "the guest goes on, by way of the VMM";
    EXPECT_OK(scheduler.open());
    const uint32_t direct = reads;
    for (int j = 0; j < 5000 && (trapped || reads < direct + 2); j++)
      usleep(1000);
    EXPECT_FALSE(trapped);
  }
  stop = true;
  vmm.join();
  guest.join();
  EXPECT_EQ(failed, 0);
}

TEST_F(GateKvm, TheLimitEndsKvmRun) {
  ASSERT_OK(gate_set(s.device(), VFIO_DEVICE_GATE_SET_LIMIT, 0, 100));
  ASSERT_OK(scheduler.block());
  const long result = call(vcpu, KVM_RUN, 0ul);
  EXPECT_TRUE(result < 0 || run->exit_reason != KVM_EXIT_IO)
      << "KVM_RUN: " << result << ", exit " << run->exit_reason;
  ASSERT_OK(scheduler.open());
}

}  // namespace
}  // namespace stack
