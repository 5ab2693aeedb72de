// SPDX-License-Identifier: GPL-2.0
//
// Modules that are in use are not unloaded, ones that are not can be; and
// opens race with binds and unbinds.
#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>

#include <atomic>
#include <thread>

#include "testdev.hpp"

using namespace stack;

namespace {

long delete_module(const char* name) {
  long result = syscall(SYS_delete_module, name, O_NONBLOCK);
  return result < 0 ? -errno : result;
}

long modprobe(const std::string& name) {
  return system(("modprobe " + name).c_str());
}

TEST(LifecycleModule, TestdevStaysWhileItIsOpen) {
  auto dev = std::make_unique<Testdev>();
  ASSERT_TRUE(dev->ok());
  auto s =
      std::make_unique<TestdevSession>(std::vector<const Testdev*>{dev.get()});
  ASSERT_TRUE(s->ok());
  // No control fd is open: the device fd alone holds the driver's module.
  EXPECT_ERR(EWOULDBLOCK, delete_module(VFIO_TESTDEV_NAME));
  Fd second = get_device(s->group(), dev->name());
  s.reset();
  EXPECT_ERR(EWOULDBLOCK, delete_module(VFIO_TESTDEV_NAME))
      << "the second fd counts too";
  second.reset();
  EXPECT_OK(delete_module(VFIO_TESTDEV_NAME))
      << "a registered device that is not open holds nothing";
  EXPECT_FALSE(exists(dev->node())) << "the unload took its device away";
  ASSERT_EQ(modprobe(VFIO_TESTDEV_NAME), 0);
  EXPECT_ERR(ENODEV, dev->destroy()) << "a fresh module knows nothing of it";
}

TEST(LifecycleModule, VfioStaysWhileOthersUseIt) {
  EXPECT_ERR(EWOULDBLOCK, delete_module("vfio"));
  Fd container = open_container();
  EXPECT_ERR(EWOULDBLOCK, delete_module("vfio"));
}

TEST(LifecycleModule, VfioPciStaysWhileADeviceIsOpen) {
  REQUIRE_DEVICES(1);
  Session s({lone_devices()[0]});
  ASSERT_TRUE(s.ok());
  EXPECT_ERR(EWOULDBLOCK, delete_module("vfio_pci"));
  EXPECT_TRUE(answers(s.device(), s.pci())) << "nothing was unbound";
}

TEST(LifecycleModule, Type1StaysWhileAContainerUsesIt) {
  REQUIRE_DEVICES(1);
  {
    Session s({lone_devices()[0]}, 0);
    ASSERT_TRUE(s.ok());
    ASSERT_OK(set_iommu(s.container(), VFIO_TYPE1v2_IOMMU));
    EXPECT_ERR(EWOULDBLOCK, delete_module("vfio_iommu_type1"));
    ASSERT_OK(unset_container(s.group()));
    EXPECT_OK(delete_module("vfio_iommu_type1"))
        << "a container without groups uses no IOMMU driver";
    EXPECT_EQ(call(s.container(), VFIO_GET_API_VERSION), VFIO_API_VERSION)
        << "the container fd itself is fine";
  }
  // 6.1 has nothing that loads it again; ours does when it is needed.
  Fd container = open_container();
  Fd group = open_group(lone_devices()[0]);
  ASSERT_OK(group.get());
  ASSERT_OK(set_container(group, container));
  long result = set_iommu(container, VFIO_TYPE1v2_IOMMU);
  if (result < 0) {
    EXPECT_ERR(ENODEV, result);
    ASSERT_EQ(modprobe("vfio_iommu_type1"), 0);
    result = set_iommu(container, VFIO_TYPE1v2_IOMMU);
  }
  EXPECT_OK(result) << "the container finds the driver that was loaded again";
  EXPECT_TRUE(exists("/sys/module/vfio_iommu_type1"));
}

// --- races -----------------------------------------------------------------

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Two seconds, and longer where that is not enough for two rounds. Who is to
// win a race goes on until it has won once; if it never does, the time of the
// test runs out.
class Rounds {
 public:
  bool more() {
    if (done_ >= 2 && now() >= end_) return false;
    done_++;
    return true;
  }
  int done() const { return done_; }

 private:
  const double end_ = now() + 2;
  int done_ = 0;
};

// Opens all the way if it can; true when it got the device.
bool open_and_close(const std::string& node, const std::string& name) {
  Fd container = open_container();
  Fd group = open_path(node);
  if (!group.valid() || set_container(group, container) < 0) return false;
  if (set_iommu(container, VFIO_TYPE1v2_IOMMU) < 0) return false;
  Fd device = get_device(group, name);
  if (!device.valid()) return false;
  Memory m(4 * kPage);
  if (map_dma(container, m.data(), kFirstIova, m.size()) < 0) return false;
  // Sometimes the group or the container goes first.
  static std::atomic<unsigned> turn;
  switch (turn++ % 3) {
    case 0:
      container.reset();
      break;
    case 1:
      group.reset();
      break;
    default:
      break;
  }
  return true;
}

TEST(LifecycleRace, OpenAgainstUnbind) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  std::atomic<bool> stop = false;
  std::atomic<int> opened = 0;
  auto opener = [&] {
    while (!stop)
      if (open_and_close(edu.node(), edu.bdf)) opened++;
  };
  std::thread first(opener), second(opener);
  Rounds rounds;
  while (rounds.more() || opened == 0) {
    EXPECT_OK(unbind_driver(edu.bdf));
    EXPECT_OK(bind_driver(edu.bdf, "vfio-pci"));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  stop = true;
  first.join();
  second.join();
  note("rounds " + std::to_string(rounds.done()) + ", opened " +
       std::to_string(opened));
  Session s({*pci_device(edu.bdf)});
  EXPECT_TRUE(s.ok()) << "the device is as good as before";
}

TEST(LifecycleRace, OpenAgainstDestroy) {
  std::atomic<bool> stop = false;
  std::atomic<int> opened = 0, node = -1;
  std::string name;
  std::atomic<const char*> current = nullptr;
  auto opener = [&] {
    while (!stop) {
      int group = node;
      const char* device = current;
      if (group >= 0 && device &&
          open_and_close("/dev/vfio/" + std::to_string(group), device))
        opened++;
    }
  };
  // Ids are reused, so the device's name is always this one.
  {
    Testdev probe;
    ASSERT_TRUE(probe.ok());
    name = probe.name();
    current = name.c_str();
  }
  std::thread first(opener), second(opener);
  Rounds rounds;
  while (rounds.more() || opened == 0) {
    Testdev dev;
    ASSERT_TRUE(dev.ok()) << errno_name(dev.result());
    node = atoi(dev.node().substr(10).c_str());
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  stop = true;
  first.join();
  second.join();
  note("rounds " + std::to_string(rounds.done()) + ", opened " +
       std::to_string(opened));
  Testdev dev;
  TestdevSession s({&dev});
  EXPECT_TRUE(s.ok());
}

// Two threads pin and unpin while a third maps and unmaps the range: a device
// that pins anew whenever it was asked to let go must not stop the unmap.
TEST(LifecycleRace, PinAgainstUnmap) {
  SKIP_ON_STOCK("a device that pins anew eleven times reaches a BUG_ON");
  Testdev dev;
  ASSERT_TRUE(dev.ok());
  TestdevSession s({&dev});
  ASSERT_TRUE(s.ok());
  Memory m(16 * kPage);
  m.touch(1);
  uint64_t before = locked_pages();
  std::atomic<bool> stop = false;
  std::atomic<int> pinned = 0;
  auto pinner = [&](uint64_t iova) {
    while (!stop)
      if (pin(s.device(), iova, 4) == 4) {
        pinned++;
        unpin(s.device(), iova, 4);  // or the unmap has done it
      }
  };
  std::thread first(pinner, kFirstIova), second(pinner, kFirstIova + 2 * kPage);
  Rounds rounds;
  while (rounds.more() && !HasFailure()) {
    EXPECT_OK(map_dma(s.container(), m.data(), kFirstIova, m.size()));
    Unmapped u = unmap_dma(s.container(), kFirstIova, m.size());
    EXPECT_OK(u.result);
    EXPECT_EQ(u.size, m.size());
  }
  stop = true;
  first.join();
  second.join();
  note("rounds " + std::to_string(rounds.done()) + ", pinned " +
       std::to_string(pinned));
  EXPECT_EQ(locked_pages(), before);
}

}  // namespace
