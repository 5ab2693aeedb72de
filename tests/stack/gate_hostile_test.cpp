// SPDX-License-Identifier: GPL-2.0
//
// What may be done to a thread that waits for a gated device, and to its
// address space, and what must not stop the others.
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>
#include <thread>

#include "gate.hpp"

namespace stack {
namespace {

constexpr uint32_t kIdentification = 0x010000ed;  // edu's, at offset 0

class GateHostile : public GateTest {
 protected:
  void SetUp() override {
    GateTest::SetUp();
    if (HasFatalFailure() || IsSkipped()) return;
    edu = std::make_unique<Edu>(s.device());
    ASSERT_TRUE(edu->ok());
    window = Memory(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, s.device(),
                    static_cast<off_t>(region_info(s.device(), 0).offset));
    ASSERT_TRUE(window.ok());
    ASSERT_EQ(read_window(), kIdentification);
  }

  static uint32_t read_at(const void* address) {
    return *static_cast<const volatile uint32_t*>(address);
  }
  uint32_t read_window() { return read_at(window.data()); }

  std::unique_ptr<Edu> edu;
  Memory window;
};

TEST_F(GateHostile, AWindowMovesUnderAWaiter) {
  ASSERT_OK(scheduler.block());
  Child child([&](Child& self) {
    std::thread waits([&] { read_window(); });  // ends the process: SIGSEGV
    EXPECT_TRUE(await_waiting(s.device(), 1));
    void* to = mremap(window.data(), kPage, kPage,
                      MREMAP_MAYMOVE | MREMAP_FIXED, window.data() + kGiB);
    EXPECT_EQ(to, window.data() + kGiB);
    self.notify();
    if (read_at(to) != kIdentification) abort();
    waits.join();
  });
  EXPECT_TRUE(child.await());
  EXPECT_TRUE(await_waiting(s.device(), 2)) << "the new place waits, too";
  ASSERT_OK(scheduler.open());
  child.wait(SIGSEGV);
  EXPECT_EQ(read_window(), kIdentification) << "this process's is where it was";
}

TEST_F(GateHostile, ADebuggerStopsAWaiter) {
  ASSERT_OK(scheduler.block());
  Child child([&](Child&) { EXPECT_EQ(read_window(), kIdentification); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  ASSERT_EQ(ptrace(PTRACE_ATTACH, child.pid(), nullptr, nullptr), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child.pid(), &status, 0), child.pid());
  EXPECT_TRUE(WIFSTOPPED(status));
  EXPECT_EQ(gate_info(s.device()).waiting, 0u);
  errno = 0;
  ptrace(PTRACE_PEEKDATA, child.pid(), window.data(), nullptr);
  EXPECT_EQ(errno, EIO) << "a debugger does not wait";
  ASSERT_EQ(ptrace(PTRACE_DETACH, child.pid(), nullptr, nullptr), 0);
  EXPECT_TRUE(await_waiting(s.device(), 1)) << "it waits again";
  ASSERT_OK(scheduler.open());
  child.wait();
}

TEST_F(GateHostile, ACoreIsDumpedBesideAWaiter) {
  ASSERT_OK(scheduler.block());
  Child child([&](Child&) {
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &unlimited);
    std::thread waits([&] { read_window(); });
    EXPECT_TRUE(await_waiting(s.device(), 1));
    abort();
  });
  child.wait(SIGABRT);
  EXPECT_EQ(gate_info(s.device()).waiting, 0u);
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(read_window(), kIdentification);
}

TEST_F(GateHostile, AProcessForksWhileItWaits) {
  ASSERT_OK(scheduler.block());
  std::atomic<uint32_t> value{0};
  std::thread waits([&] { value = read_window(); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  Child child([&](Child&) { EXPECT_EQ(read_window(), kIdentification); });
  EXPECT_TRUE(await_waiting(s.device(), 2));
  ASSERT_OK(scheduler.open());
  waits.join();
  child.wait();
  EXPECT_EQ(value, kIdentification);
}

TEST_F(GateHostile, WindowsCannotBeTruncated) {
  ASSERT_OK(scheduler.block());
  EXPECT_NE(ftruncate(s.device(), 0), 0);
  EXPECT_NE(fallocate(s.device(), 0, 0, kPage), 0);
  EXPECT_NE(madvise(window.data(), kPage, MADV_REMOVE), 0);
  EXPECT_NE(madvise(window.data(), kPage, MADV_DONTNEED), 0);
  ASSERT_OK(scheduler.open());
  EXPECT_EQ(read_window(), kIdentification);
}

// Maps, moves, unmaps, forks and kills while the device is switched.
TEST_F(GateHostile, AddressSpacesChangeWhileItIsSwitched) {
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  const auto offset = static_cast<off_t>(region_info(s.device(), 0).offset);
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    while (!stop) wrong += read_window() != kIdentification;
  });
  threads.emplace_back([&] {
    while (!stop) {
      Memory one(kPage, PROT_READ, MAP_SHARED, s.device(), offset);
      if (!one.ok()) continue;
      wrong += read_at(one.data()) != kIdentification;
      void* to = mremap(one.data(), kPage, kPage, MREMAP_MAYMOVE);
      wrong += to == MAP_FAILED || read_at(to) != kIdentification;
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      Child child([&](Child&) { EXPECT_EQ(read_window(), kIdentification); });
      child.wait();
      Child killed([&](Child&) {
        for (;;) read_window();
      });
      usleep(3000);
      killed.kill();
      killed.wait(SIGKILL);
    }
  });
  for (int i = 0; i < 150; i++) {
    ASSERT_OK(scheduler.block(0, 1000000));
    usleep(static_cast<useconds_t>(i % 7 * 1000));
    ASSERT_OK(scheduler.open());
    usleep(static_cast<useconds_t>(i % 5 * 1000));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(gate_info(s.device()).waiting, 0u);
}

TEST_F(GateHostile, ItsDeviceIsUnplugged) {
  ASSERT_OK(scheduler.block());
  Child child([&](Child&) { read_window(); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  window = Memory();
  edu.reset();
  s = Session();  // the child's descriptors keep the device open
  EXPECT_OK(write_text(pci.sysfs() + "/remove", "1"));
  child.wait(SIGBUS);
  EXPECT_ERR(ENODEV, scheduler.open());
  scheduler.close();
  EXPECT_OK(write_text("/sys/bus/pci/rescan", "1"));
  ASSERT_TRUE(pci_device(pci.bdf).has_value());
  EXPECT_OK(bind_driver(pci.bdf, "vfio-pci"));
  Session again({*pci_device(pci.bdf)});
  EXPECT_TRUE(again.ok());
}

}  // namespace
}  // namespace stack
