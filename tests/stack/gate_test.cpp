// SPDX-License-Identifier: GPL-2.0
//
// The processor's side of gated devices: register windows, read() and write()
// of devices that a scheduler in the kernel blocks, traps and opens.
#include "gate.hpp"

#include <poll.h>
#include <setjmp.h>

#include <atomic>
#include <thread>

namespace stack {
namespace {

constexpr uint32_t kIdentification = 0x010000ed;  // edu's, at offset 0

class Gate : public GateTest {
 protected:
  void SetUp() override {
    GateTest::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    edu = std::make_unique<Edu>(s.device());
    ASSERT_TRUE(edu->ok());
    ASSERT_EQ(edu->read32(0), kIdentification);
  }

  long pread_bar() {
    uint32_t value = 0;
    const long got =
        pread(s.device(), &value, sizeof value,
              static_cast<off_t>(region_info(s.device(), 0).offset));
    return got < 0 ? -errno : got;
  }

  // What the core waits for is gone in the child: it uses the file and the
  // windows that it has inherited.
  std::unique_ptr<Edu> edu;
};

sigjmp_buf escape;
void jump(int signal) { siglongjmp(escape, signal); }

// The signal that touching the device raises, or 0. The signal is caught.
int touch_signal(const Edu& edu) {
  struct sigaction action {
  }, bus, alarm;
  action.sa_handler = jump;
  sigaction(SIGBUS, &action, &bus);
  sigaction(SIGALRM, &action, &alarm);
  const int signal = sigsetjmp(escape, 1);
  if (signal == 0) edu.read32(0);
  sigaction(SIGBUS, &bus, nullptr);
  sigaction(SIGALRM, &alarm, nullptr);
  return signal;
}

// What VFIO_DEVICE_FEATURE_DMA_BUF, which came in 6.19, returns for a page of
// BAR 0: a descriptor or -errno.
long export_window(int device) {
  struct {
    uint32_t argsz, flags;
    uint32_t region_index, open_flags, buffer_flags, nr_ranges;
    uint64_t offset, length;
  } arg{
      sizeof arg, VFIO_DEVICE_FEATURE_GET | 11, 0, O_RDWR | O_CLOEXEC, 0, 1, 0,
      kPage};
  return call(device, VFIO_DEVICE_FEATURE, &arg);
}

TEST_F(Gate, AWindowIsNotExported) {
  ASSERT_GE(lone_devices().size(), 2u);
  const PciDevice other = lone_devices()[1];
  // A gate that it had before stays until then.
  ASSERT_OK(unbind_driver(other.bdf));
  ASSERT_OK(bind_driver(other.bdf, "vfio-pci"));
  Session ungated({other});
  ASSERT_TRUE(ungated.ok());
  const Fd exported(static_cast<int>(export_window(ungated.device())));
  EXPECT_EQ(exported.get() >= 0, kernel_at_least(6, 19)) << exported.get();
  EXPECT_EQ(export_window(s.device()), -EOPNOTSUPP);
}

TEST_F(Gate, ATouchWaitsUntilTheDeviceOpens) {
  std::atomic<uint32_t> value{0};
  ASSERT_OK(scheduler.block());
  EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_BLOCKED});
  std::thread thread([&] { value = edu->read32(0); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  // That thread alone waits: the address space is not locked.
  Memory other(kPage);
  EXPECT_TRUE(other.ok());
  usleep(50000);
  EXPECT_EQ(value, 0u);
  EXPECT_OK(scheduler.open());
  thread.join();
  EXPECT_EQ(value, kIdentification);
  EXPECT_EQ(gate_info(s.device()).waiting, 0u);
}

TEST_F(Gate, AgainAndAgain) {
  for (uint32_t i = 1; i <= 50; i++) {
    ASSERT_OK(scheduler.block());
    ASSERT_OK(scheduler.open());
    if (i % 3 == 0) continue;
    edu->write32(4, i);  // edu stores the inverse
    ASSERT_EQ(edu->read32(4), ~i);
  }
  EXPECT_EQ(gate_info(s.device()).blocks, 50u);
}

TEST_F(Gate, TwoWindowsOfTheSameDevice) {
  Edu second(s.device());
  for (int i = 0; i < 3; i++) {
    ASSERT_OK(scheduler.block());
    uint32_t values[2] = {};
    std::thread one([&] { values[0] = edu->read32(0); });
    std::thread two([&] { values[1] = second.read32(0); });
    EXPECT_TRUE(await_waiting(s.device(), 2));
    ASSERT_OK(scheduler.open());
    one.join();
    two.join();
    EXPECT_EQ(values[0], kIdentification);
    EXPECT_EQ(values[1], kIdentification);
  }
}

TEST_F(Gate, CallsWaitToo) {
  ASSERT_OK(scheduler.block());
  const int flags = fcntl(s.device(), F_GETFL);
  ASSERT_EQ(fcntl(s.device(), F_SETFL, flags | O_NONBLOCK), 0);
  EXPECT_ERR(EAGAIN, pread_bar());
  EXPECT_ERR(EAGAIN, call(s.device(), VFIO_DEVICE_RESET));
  pollfd polled{s.device(), POLLIN | POLLOUT, 0};
  EXPECT_EQ(poll(&polled, 1, 0), 0);
  ASSERT_EQ(fcntl(s.device(), F_SETFL, flags), 0);
  std::atomic<long> got{0};
  std::atomic<bool> told{false};
  std::thread thread([&] { got = pread_bar(); });
  std::thread poller([&] {
    pollfd one{s.device(), POLLIN, 0};
    told = poll(&one, 1, 10000) == 1;
  });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  EXPECT_OK(scheduler.open());
  thread.join();
  poller.join();
  EXPECT_EQ(got, 4);
  EXPECT_TRUE(told);
}

TEST_F(Gate, SignalsEndAWaitInUserMode) {
  ASSERT_OK(scheduler.block());
  ualarm(100000, 0);
  EXPECT_EQ(touch_signal(*edu), SIGALRM);
  EXPECT_EQ(gate_info(s.device()).waiting, 0u);
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(edu->read32(0), kIdentification);
}

TEST_F(Gate, AWaitingProcessCanBeKilled) {
  ASSERT_OK(scheduler.block());
  Child touches([&](Child&) { edu->read32(0); });
  Child reads([&](Child&) { pread_bar(); });
  EXPECT_TRUE(await_waiting(s.device(), 2));
  touches.kill();
  touches.wait(SIGKILL);
  reads.kill();
  reads.wait(SIGKILL);
  EXPECT_EQ(gate_info(s.device()).waiting, 0u);
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(edu->read32(0), kIdentification);
}

TEST_F(Gate, AChildHasTheWindowToo) {
  ASSERT_OK(scheduler.block());
  Child child([&](Child& self) {
    EXPECT_EQ(edu->read32(0), kIdentification);
    self.notify();
    self.await();
    EXPECT_EQ(edu->read32(0), kIdentification);
  });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  ASSERT_OK(scheduler.open());
  EXPECT_TRUE(child.await());
  EXPECT_EQ(edu->read32(0), kIdentification);
  ASSERT_OK(scheduler.block());
  child.notify();
  EXPECT_TRUE(await_waiting(s.device(), 1)) << "taken from both";
  ASSERT_OK(scheduler.open());
  child.wait();
}

TEST_F(Gate, TheLimitEndsWaits) {
  ASSERT_OK(gate_set(s.device(), VFIO_DEVICE_GATE_SET_LIMIT, 0, 100));
  ASSERT_OK(scheduler.block());
  EXPECT_EQ(touch_signal(*edu), SIGBUS);
  EXPECT_ERR(ETIMEDOUT, pread_bar());
  EXPECT_GE(gate_info(s.device()).timeouts, 2u);
  EXPECT_GE(gate_info(s.device()).blocked_ns, 100000000u);
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(edu->read32(0), kIdentification);
  EXPECT_EQ(pread_bar(), 4);
}

TEST_F(Gate, ATrappedDeviceHasNoWindows) {
  ASSERT_OK(scheduler.trap());
  EXPECT_EQ(touch_signal(*edu), SIGBUS);
  EXPECT_EQ(pread_bar(), 4);
  ASSERT_OK(scheduler.block());
  ASSERT_OK(scheduler.trap());
  EXPECT_EQ(pread_bar(), 4);
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(edu->read32(0), kIdentification);
}

TEST_F(Gate, AWindowUnmappedUnderAWaiter) {
  auto second = std::make_unique<Edu>(s.device());
  ASSERT_EQ(second->read32(0), kIdentification);
  struct sigaction action {
  }, old;
  action.sa_handler = jump;
  sigaction(SIGSEGV, &action, &old);
  ASSERT_OK(scheduler.block());
  std::atomic<int> signal{-1};
  std::thread thread([&] {
    const int got = sigsetjmp(escape, 1);
    if (got == 0) second->read32(0);
    signal = got;
  });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  second.reset();
  ASSERT_OK(scheduler.open());
  thread.join();
  sigaction(SIGSEGV, &old, nullptr);
  EXPECT_EQ(signal, SIGSEGV);
}

TEST_F(Gate, OnlyTheAdministratorSwitches) {
  in_child(
      [&] {
        EXPECT_ERR(EPERM, gate_set(s.device(), VFIO_DEVICE_GATE_SET_STATE,
                                   VFIO_GATE_BLOCKED));
        EXPECT_EQ(gate_info(s.device()).state, uint32_t{VFIO_GATE_OPEN});
      },
      {.drop_user = true, .memlock = std::nullopt});
  EXPECT_OK(
      gate_set(s.device(), VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_BLOCKED));
  EXPECT_OK(gate_set(s.device(), VFIO_DEVICE_GATE_SET_STATE, VFIO_GATE_OPEN));
}

TEST_F(Gate, ASchedulerThatGoesLetsAllGoOn) {
  ASSERT_OK(scheduler.block());
  std::atomic<uint32_t> value{0};
  std::thread thread([&] { value = edu->read32(0); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  scheduler.close();
  thread.join();
  EXPECT_EQ(value, kIdentification);
  EXPECT_EQ(gate_info(s.device()).flags, 0u);
}

TEST_F(Gate, UnbindingWakesWaiters) {
  ASSERT_OK(scheduler.block());
  Child child([&](Child&) {
    EXPECT_EQ(touch_signal(*edu), SIGBUS);
    EXPECT_ERR(ENODEV, pread_bar());
  });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  edu.reset();
  s = Session();  // the child's descriptors keep the device open
  EXPECT_OK(unbind_driver(pci.bdf));
  child.wait();
  EXPECT_ERR(ENODEV, scheduler.block());
  scheduler.close();
  EXPECT_OK(bind_driver(pci.bdf, "vfio-pci"));
}

TEST_F(Gate, AHotResetReachesNoBlockedDevice) {
  const std::vector<PciDevice> pair = pci_devices(0x1b36, 0x0005);
  ASSERT_EQ(pair.size(), 2u);
  ASSERT_OK(scheduler.add(pair[1]));
  Session other({pair[0]});
  ASSERT_TRUE(other.ok());
  alignas(8) uint8_t arg[sizeof(vfio_pci_hot_reset) + sizeof(int)] = {};
  auto* reset = reinterpret_cast<vfio_pci_hot_reset*>(arg);
  reset->argsz = sizeof arg;
  reset->count = 1;
  *reinterpret_cast<int*>(reset->group_fds) = other.group();
  EXPECT_OK(call(other.device(), VFIO_DEVICE_PCI_HOT_RESET, reset));
  ASSERT_OK(scheduler.block(1)) << "nobody has it open";
  EXPECT_ERR(EBUSY, call(other.device(), VFIO_DEVICE_PCI_HOT_RESET, reset));
  ASSERT_OK(scheduler.open(1));
  EXPECT_OK(call(other.device(), VFIO_DEVICE_PCI_HOT_RESET, reset));
}

TEST_F(Gate, ASchedulerComesBeforeTheFirstOpen) {
  Scheduler late;
  EXPECT_ERR(EBUSY, late.add(pci)) << "there is one";
  // No test makes this one gated, which would last.
  const std::vector<PciDevice> devices = lone_devices();
  ASSERT_GE(devices.size(), 3u);
  Session second({devices[2]});
  ASSERT_TRUE(second.ok());
  EXPECT_ERR(EBUSY, late.add(devices[2])) << "it is open";
  EXPECT_ERR(ENOTTY, call(second.device(), VFIO_DEVICE_GATE_INFO));
}

}  // namespace
}  // namespace stack
