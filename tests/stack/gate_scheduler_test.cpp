// SPDX-License-Identifier: GPL-2.0
//
// Schedulers that take turns between devices: samples/vf_scheduler, and the
// example of Documentation/gate.md. The program examples/timeslice uses the
// devices meanwhile, and compares when it did with the kernel's trace.
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <atomic>
#include <map>
#include <sstream>
#include <thread>

#include "gate.hpp"
#include "mdev.hpp"

namespace stack {
namespace {

constexpr uint32_t kIdentification = 0x010000ed;  // edu's, at offset 0

class GateScheduler : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("no gates");
    devices = lone_devices();
    ASSERT_GE(devices.size(), 3u);
    if (!exists(kTracing + "/trace")) {
      mount("tracefs", kTracing.c_str(), "tracefs", 0, nullptr);
    }
    if (!exists(kDebug + "/tracing") && !exists(kDebug + "/bdi")) {
      mount("debugfs", kDebug.c_str(), "debugfs", 0, nullptr);
    }
  }

  void TearDown() override {
    for (const char* module : {"vf_scheduler", "gate_example"})
      if (exists(std::string("/sys/module/") + module)) {
        EXPECT_OK(unload_module(module));
      }
    if (exists(kEvent)) {
      EXPECT_OK(write_text(kEvent, "0"));
    }
  }

  std::string two() const { return devices[0].bdf + "," + devices[1].bdf; }

  // The debug kernel has no tracing.
  bool traced() const { return exists(kTracing + "/trace"); }

  void trace() {
    if (!traced() && exists("/guest-lib.sh")) return;
    ASSERT_OK(write_text(kTracing + "/trace_clock", "mono"));
    ASSERT_OK(write_text(kTracing + "/trace", ""));
    ASSERT_OK(write_text(kEvent, "1"));
  }

  static int shell(const std::string& command) {
    FILE* pipe = popen((command + " 2>&1").c_str(), "r");
    if (!pipe) return -1;
    char text[512];
    while (fgets(text, sizeof text, pipe)) {
      const std::string line(text, strcspn(text, "\n"));
      if (!line.starts_with("slice ")) note(line);
    }
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // Two programs use the devices for some seconds in these ways, and then it
  // is compared with the trace.
  void use_and_check(const std::string& kinds) {
    const auto client = [&](int i) {
      return "/timeslice run 4 /tmp/record" + std::to_string(i) + " " +
             devices[static_cast<size_t>(i)].bdf + " " + kinds;
    };
    EXPECT_EQ(shell("{ " + client(0) + " & " + client(1) +
                    "; a=$?; wait $! && exit $a; }"),
              0);
    if (!traced()) return;
    EXPECT_EQ(shell("/timeslice check " + kTracing +
                    "/trace /tmp/record0 /tmp/record1"),
              0);
  }

  // A column of the scheduler's table, by device.
  std::map<std::string, std::string> column(const std::string& name) {
    std::istringstream table(read_text(kDebug + "/vf_scheduler"));
    std::map<std::string, std::string> found;
    std::string line, word;
    int wanted = -1;
    while (std::getline(table, line)) {
      std::istringstream words(line);
      std::string device;
      words >> device;
      for (int i = 0; words >> word; i++) {
        if (device == "device" && word == name) wanted = i;
        if (device != "device" && i == wanted) found[device] = word;
      }
    }
    return found;
  }
  uint64_t number(const std::string& name, size_t device) {
    const std::string text = column(name)[devices[device].bdf];
    EXPECT_FALSE(text.empty()) << name;
    return text.empty() ? 0 : std::stoull(text);
  }
  // Waits until the device has had one more slice.
  bool goes_on(size_t device) {
    const uint64_t before = number("slices", device);
    for (int i = 0; i < 5000; i++) {
      if (number("slices", device) > before + 1) return true;
      usleep(1000);
    }
    return false;
  }

  const std::string kTracing = "/sys/kernel/tracing";
  const std::string kDebug = "/sys/kernel/debug";
  const std::string kEvent = kTracing + "/events/vfio/vfio_gate/enable";
  std::vector<PciDevice> devices;
};

TEST_F(GateScheduler, EachIsUsedInItsOwnSlicesAlone) {
  trace();
  ASSERT_EQ(shell("modprobe vf_scheduler devices=" + two() +
                  " slices_us=250000,250000 deadline_us=20000"),
            0);
  use_and_check("mmap calls dma");
  EXPECT_GT(number("slices", 0), 2u);
  EXPECT_GT(number("slices", 1), 2u);
}

TEST_F(GateScheduler, ShortSlices) {
  trace();
  ASSERT_EQ(shell("modprobe vf_scheduler devices=" + two()), 0);
  use_and_check("mmap calls");
  EXPECT_GT(number("slices", 0), 50u);
}

TEST_F(GateScheduler, TheDocumentedExample) {
  trace();
  ASSERT_EQ(shell("modprobe gate_example devices=" + two()), 0);
  use_and_check("mmap");
}

TEST_F(GateScheduler, SharesAreTimes) {
  ASSERT_EQ(shell("modprobe vf_scheduler devices=" + two() +
                  " shares=1,3 slices_us=10000,10000"),
            0);
  sleep(2);
  const double part = static_cast<double>(number("open_us", 1)) /
                      static_cast<double>(number("open_us", 0));
  EXPECT_GT(part, 2.5);
  EXPECT_LT(part, 3.5);
}

TEST_F(GateScheduler, GoesWhileSomebodyWaits) {
  ASSERT_EQ(shell("modprobe vf_scheduler devices=" + two() +
                  " slices_us=100000000,100000000"),
            0);
  while (column("state")[devices[0].bdf] != "open") usleep(1000);
  Session s({devices[1]});
  ASSERT_TRUE(s.ok());
  std::atomic<uint32_t> value{0};
  // Enabling the device waits, too.
  std::thread thread([&] { value = Edu(s.device()).read32(0); });
  EXPECT_TRUE(await_waiting(s.device(), 1));
  EXPECT_OK(unload_module("vf_scheduler"));
  thread.join();
  EXPECT_EQ(value, kIdentification);
}

TEST_F(GateScheduler, ADeviceIsTakenAwayAndComesBack) {
  ASSERT_EQ(shell("modprobe vf_scheduler devices=" + two()), 0);
  EXPECT_TRUE(goes_on(1));
  ASSERT_OK(unbind_driver(devices[1].bdf));
  EXPECT_TRUE(goes_on(0)) << "alone";
  ASSERT_OK(bind_driver(devices[1].bdf, "vfio-pci"));
  EXPECT_TRUE(goes_on(1)) << "again";
  EXPECT_TRUE(goes_on(0));
}

TEST_F(GateScheduler, Refusals) {
  EXPECT_NE(shell("modprobe vf_scheduler"), 0);
  EXPECT_NE(shell("modprobe vf_scheduler devices=nonsense"), 0);
  EXPECT_NE(shell("modprobe vf_scheduler devices=0000:00:1e.7"), 0);
  // No test makes this one gated, which would last.
  Session s({devices[2]});
  ASSERT_TRUE(s.ok());
  EXPECT_NE(shell("modprobe vf_scheduler devices=" + devices[0].bdf + "," +
                  devices[2].bdf),
            0)
      << "it is open";
  EXPECT_FALSE(exists("/sys/module/vf_scheduler"));
}

// What the tests above rely on.
TEST_F(GateScheduler, UsesOutOfTurnAreFound) {
  const auto check = [](const std::string& record) {
    write_text("/tmp/record", record);
    return shell("/timeslice check /tmp/trace /tmp/record");
  };
  Fd trace = open_path("/tmp/trace", O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_OK(trace.get());
  ASSERT_OK(
      write_text("/tmp/trace",
                 " x-1 [0] .. 1.000000: vfio_gate: a blocked -> open\n"
                 " x-1 [0] .. 2.000000: vfio_gate: a blocking -> blocked\n"
                 " x-1 [0] .. 2.000100: vfio_gate: b blocked -> open\n"
                 " x-1 [0] .. 3.000000: vfio_gate: b blocking -> blocked\n"));
  Fd record = open_path("/tmp/record", O_WRONLY | O_CREAT | O_TRUNC);
  ASSERT_OK(record.get());
  EXPECT_EQ(check("a mmap 1500000000 1500001000\n"), 0);
  EXPECT_EQ(check("b mmap 1500000000 2500001000\n"), 0) << "it waited";
  EXPECT_EQ(check("b mmap 1500000000 1900001000\n"), 1);
  EXPECT_EQ(
      check("a mmap 1500000000 1500001000\na mmap 2500000000 2500001000\n"), 1);
}

class GateKvmScheduler : public GateScheduler {};

TEST_F(GateKvmScheduler, GuestsWaitForTheirSlices) {
  if (!exists("/dev/kvm")) {
    ASSERT_EQ(system("modprobe kvm-amd"), 0) << "kvm-amd is needed";
  }
  trace();
  ASSERT_EQ(shell("modprobe vf_scheduler devices=" + two() +
                  " slices_us=20000,20000"),
            0);
  use_and_check("guest mmap");
}

}  // namespace
}  // namespace stack
