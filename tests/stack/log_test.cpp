// SPDX-License-Identifier: GPL-2.0
//
// What the kernel log says when RLIMIT_MEMLOCK is in the way: one line that
// names the device, the task, what was asked for and the limit. The kernel's
// own modules have lines of their own.
#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x300000;

// The kernel log from now on. Whoever inherits it may read it.
class KernelLog {
 public:
  KernelLog() : fd_(open_path("/dev/kmsg", O_RDONLY | O_NONBLOCK)) {
    lseek(fd_, 0, SEEK_END);
  }

  // How many new lines are this message.
  int count(const std::string& message) {
    int found = 0;
    char record[8192];
    for (;;) {
      const ssize_t n = read(fd_, record, sizeof record);
      if (n < 0 && errno == EPIPE) continue;  // some were overwritten
      if (n <= 0) return found;
      std::string line(record, static_cast<size_t>(n));
      line = line.substr(line.find(';') + 1);
      found += line.substr(0, line.find('\n')) == message;
    }
  }

 private:
  Fd fd_;
};

class LogMemlock : public OneDevice {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("its lines are its own");
    OneDevice::SetUp();
  }

  static std::string line(const std::string& device, const std::string& what,
                          uint64_t limit) {
    return "vfio_iommu_type1: " + device + ": task stack_test (" +
           std::to_string(getpid()) + ") cannot " + what +
           " pages: over RLIMIT_MEMLOCK of " + std::to_string(limit) +
           " bytes: error -12";
  }

  // The call fails with ENOMEM and is logged in one line. The kernel limits how
  // many lines are logged, so a call that is not logged is repeated later.
  template <class Call>
  void expect_logged(const std::string& expected, Call call) {
    for (int tries = 0; tries < 15; tries++) {
      EXPECT_ERR(ENOMEM, call());
      if (const int found = log.count(expected)) {
        EXPECT_EQ(found, 1) << expected;
        return;
      }
      sleep(1);
    }
    ADD_FAILURE() << "not in the kernel log: " << expected;
  }

  KernelLog log;
};

TEST_F(LogMemlock, Mapping) {
  const std::string device = s.pci().bdf;
  in_child(
      [&] {
        Memory m(1600 * kPage);
        expect_logged(line(device, "map 17", 16 * kPage), [&] {
          return map_dma(s.container(), m.data(), kIova, 17 * kPage);
        });
        expect_logged(line(device, "map 1600", 16 * kPage), [&] {
          return map_dma(s.container(), m.data(), kIova, m.size());
        });
      },
      {.drop_user = true, .memlock = 16 * kPage});
}

TEST_F(LogMemlock, MappingOfOnePage) {
  const std::string device = s.pci().bdf;
  in_child(
      [&] {
        Memory m(kPage);
        expect_logged(line(device, "map 1", 0), [&] {
          return map_dma(s.container(), m.data(), kIova, kPage);
        });
      },
      {.drop_user = true, .memlock = 0});
}

TEST_F(LogMemlock, Pins) {
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession emulated({&dev});
  ASSERT_TRUE(emulated.ok());
  in_child(
      [&] {
        Memory m(8 * kPage);
        ASSERT_OK(map_dma(emulated.container(), m.data(), kIova, m.size()));
        expect_logged(line(dev.name(), "pin 4", 2 * kPage),
                      [&] { return pin(emulated.device(), kIova, 4); });
        ASSERT_EQ(pin(emulated.device(), kIova, 2), 2);
        expect_logged(line(dev.name(), "pin 1", 2 * kPage), [&] {
          return pin(emulated.device(), kIova + 2 * kPage, 1);
        });
        // From a thread of the kernel: the task is the one that mapped.
        expect_logged(line(dev.name(), "pin 3", 2 * kPage), [&] {
          return pin(emulated.device(), kIova + 2 * kPage, 3, kRead,
                     VFIO_TESTDEV_KTHREAD);
        });
        EXPECT_OK(unpin(emulated.device(), kIova, 2));
        unmap_dma(emulated.container(), kIova, m.size());
      },
      {.drop_user = true, .memlock = 2 * kPage});
}

// Who keeps somebody waiting for more than ten seconds.
class LogWaits : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_ON_STOCK("its lines are its own");
    dev.emplace();
    ASSERT_TRUE(dev->ok());
    s.emplace(std::vector<const Testdev*>{&*dev});
    ASSERT_TRUE(s->ok());
  }
  static std::string me() { return "(" + std::to_string(getpid()) + ")"; }

  std::optional<Testdev> dev;
  std::optional<TestdevSession> s;
  KernelLog log;
};

TEST_F(LogWaits, AnUnbindWaitsForItsUser) {
  std::thread unbind([&] { EXPECT_OK(dev->destroy()); });
  sleep(12);
  EXPECT_EQ(log.count("vfio_testdev " + dev->name() +
                      ": unbinding waits for task \"stack_test\" " + me() +
                      ", which has opened the device"),
            1);
  s.reset();
  unbind.join();
}

TEST_F(LogWaits, AnUnmapWaitsForADriver) {
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  ASSERT_EQ(pin(s->device(), kIova, 1), 1);
  set_policy(s->device(), VFIO_TESTDEV_UNPIN_SLOWLY);
  EXPECT_OK(unmap_dma(s->container(), kIova, m.size()).result);
  char range[64];
  snprintf(range, sizeof range, "IOVA 0x%llx, size 0x1000",
           static_cast<unsigned long long>(kIova));
  EXPECT_EQ(log.count("vfio_testdev " + dev->name() + ": task stack_test " +
                      me() + " unmaps " + range +
                      ", and has waited 10 s for the driver to unpin it"),
            1);
}

}  // namespace
}  // namespace stack
