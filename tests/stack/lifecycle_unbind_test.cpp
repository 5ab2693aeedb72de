// SPDX-License-Identifier: GPL-2.0
//
// A driver is unbound while its device is open: the user is asked to let go,
// the unbind waits however long it takes, whatever signal arrives.
#include <dirent.h>
#include <sys/wait.h>
#include <time.h>

#include "testdev.hpp"

using namespace stack;

namespace {

void sleep_ms(long ms) {
  timespec t{ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, nullptr);
}

bool running(pid_t pid) { return waitpid(pid, nullptr, WNOHANG) == 0; }

// Puts the edu back into vfio-pci, whatever a test did to it.
class RebindEdu {
 public:
  explicit RebindEdu(std::string bdf) : bdf_(std::move(bdf)) {}
  ~RebindEdu() {
    if (!pci_device(bdf_)) write_text("/sys/bus/pci/rescan", "1");
    auto d = pci_device(bdf_);
    if (d && d->driver != "vfio-pci") {
      // A device that is found anew may have got the kernel's own driver.
      unbind_driver(bdf_);
      EXPECT_OK(bind_driver(bdf_, "vfio-pci"));
    }
    EXPECT_EQ(pci_device(bdf_)->driver, "vfio-pci");
  }

 private:
  std::string bdf_;
};

TEST(LifecycleUnbind, PciAsksAndWaits) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  RebindEdu rebind(edu.bdf);
  Session s({edu});
  ASSERT_TRUE(s.ok());
  Fd request = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_REQ_IRQ_INDEX, request));
  EXPECT_FALSE(wait_event(request, 0)) << "nobody has asked yet";

  Child child([&](Child& self) {
    // The child's copies would keep the device open.
    s = Session();
    self.notify();
    EXPECT_OK(unbind_driver(edu.bdf));
  });
  ASSERT_TRUE(child.await());
  EXPECT_TRUE(wait_event(request, 5000)) << "asked to let go";
  sleep_ms(300);
  EXPECT_TRUE(running(child.pid())) << "the unbind waits for us";
  EXPECT_TRUE(answers(s.device(), s.pci()))
      << "the device works as long as we have it";
  s.device_fd().reset();
  child.wait();
  EXPECT_EQ(pci_device(edu.bdf)->driver, "");

  // The last device of the group is gone, and the group with it.
  vfio_group_status status{sizeof status, 0};
  EXPECT_ERR(ENODEV, call(s.group(), VFIO_GROUP_GET_STATUS, &status));
  EXPECT_ERR(ENODEV, get_device(s.group(), edu.bdf).get());
  EXPECT_ERR(EINVAL, unset_container(s.group()));
  EXPECT_ERR(ENODEV, set_container(s.group(), s.container()));
  EXPECT_FALSE(exists(edu.node()));
}

TEST(LifecycleUnbind, PciDeviceIsNotOpenedAnew) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  RebindEdu rebind(edu.bdf);
  Session s({edu});
  ASSERT_TRUE(s.ok());
  Fd request = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_REQ_IRQ_INDEX, request));
  Child child([&](Child&) {
    s = Session();
    EXPECT_OK(unbind_driver(edu.bdf));
  });
  EXPECT_TRUE(wait_event(request, 5000));
  EXPECT_ERR(ENODEV, get_device(s.group(), edu.bdf).get());
  EXPECT_TRUE(answers(s.device(), s.pci()));
  s.device_fd().reset();
  child.wait();
}

TEST(LifecycleUnbind, GroupFdAloneDoesNotHoldTheDevice) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  RebindEdu rebind(edu.bdf);
  Session s({edu});
  ASSERT_TRUE(s.ok());
  Memory m(4 * kPage);
  uint64_t before = locked_pages();
  ASSERT_OK(map_dma(s.container(), m.data(), kFirstIova, m.size()));
  EXPECT_EQ(locked_pages(), before + 4);
  s.device_fd().reset();
  ASSERT_OK(unbind_driver(edu.bdf));
  EXPECT_EQ(locked_pages(), before)
      << "the container's last group left, so its mappings are gone";
  EXPECT_LT(map_dma(s.container(), m.data(), kFirstIova, m.size()), 0)
      << "and with them its IOMMU";
  ASSERT_OK(bind_driver(edu.bdf, "vfio-pci"));
  // The old fd is of the old group; the new group can be opened beside it.
  Session again({*pci_device(edu.bdf)});
  EXPECT_TRUE(again.ok());
  vfio_group_status status{sizeof status, 0};
  EXPECT_ERR(ENODEV, call(s.group(), VFIO_GROUP_GET_STATUS, &status));
}

TEST(LifecycleUnbind, SignalsDoNotEndTheWait) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  for (int signal : {SIGTERM, SIGKILL}) {
    RebindEdu rebind(edu.bdf);
    Session s({*pci_device(edu.bdf)});
    ASSERT_TRUE(s.ok());
    Fd request = make_eventfd();
    ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_REQ_IRQ_INDEX, request));
    Child child([&](Child&) {
      s = Session();
      unbind_driver(edu.bdf);
    });
    ASSERT_TRUE(wait_event(request, 5000));
    child.kill(signal);
    sleep_ms(500);
    EXPECT_TRUE(running(child.pid()))
        << "signal " << signal << ": still waiting for the device";
    EXPECT_TRUE(answers(s.device(), s.pci())) << "which is still there";
    s = Session();
    child.wait(signal);
    EXPECT_EQ(pci_device(edu.bdf)->driver, "") << "unbound all the same";
  }
}

TEST(LifecycleUnbind, HotUnplugWaitsToo) {
  REQUIRE_DEVICES(1);
  const PciDevice edu = lone_devices()[0];
  RebindEdu rebind(edu.bdf);
  Session s({edu});
  ASSERT_TRUE(s.ok());
  Fd request = make_eventfd();
  ASSERT_OK(set_irq_eventfd(s.device(), VFIO_PCI_REQ_IRQ_INDEX, request));
  Child child([&](Child&) {
    s = Session();
    EXPECT_OK(write_text(edu.sysfs() + "/remove", "1"));
  });
  EXPECT_TRUE(wait_event(request, 5000));
  EXPECT_TRUE(running(child.pid()));
  s.device_fd().reset();
  child.wait();
  EXPECT_FALSE(pci_device(edu.bdf));
}

// The same through a driver whose calls can be counted.
class LifecycleDestroy : public OneTestdev {
 protected:
  // Destroys the device in another process.
  std::unique_ptr<Child> destroy_elsewhere() {
    int id = dev->id();
    auto child = std::make_unique<Child>([this, id](Child&) {
      s.reset();
      int number = id;
      EXPECT_OK(call(testdev_control(), VFIO_TESTDEV_DESTROY, &number));
    });
    for (int i = 0; i < 500 && dev->stats().requests == 0; i++) sleep_ms(10);
    EXPECT_GE(dev->stats().requests, 1u) << "ops->request() was called";
    return child;
  }
  void TearDown() override {
    s.reset();
    // It is gone already; only forget it.
    if (gone && dev) {
      EXPECT_ERR(ENODEV, dev->destroy());
    }
  }
  bool gone = true;
};

TEST_F(LifecycleDestroy, TheDeviceWorksUntilItIsClosed) {
  Fd request = make_eventfd();
  int number = request.get();
  ASSERT_OK(call(s->device(), VFIO_TESTDEV_REQUEST_FD, &number));
  Memory m(4 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kFirstIova, m.size()));
  auto child = destroy_elsewhere();
  EXPECT_TRUE(wait_event(request, 1000));
  EXPECT_EQ(pin(s->device(), kFirstIova, 4), 4) << "while the other waits";
  EXPECT_OK(unmap_dma(s->container(), kFirstIova, m.size()).result);
  EXPECT_EQ(unmap_events(s->device()).size(), 1u);
  EXPECT_TRUE(running(child->pid()));
  s->device_fd().reset();
  child->wait();
}

// Otherwise a user who opens the device before closing it keeps it for ever.
TEST_F(LifecycleDestroy, NobodyOpensItAnew) {
  auto child = destroy_elsewhere();
  for (int i = 0; i < 3; i++)
    EXPECT_ERR(ENODEV, get_device(s->group(), dev->name()).get());
  EXPECT_EQ(dev->stats().opens, 1u);
  EXPECT_TRUE(running(child->pid()));
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kFirstIova, kPage));
  EXPECT_EQ(pin(s->device(), kFirstIova, 1), 1) << "who has it keeps it";
  s->device_fd().reset();
  child->wait();
  EXPECT_ERR(ENODEV, get_device(s->group(), dev->name()).get());
}

// Who watches sysfs learns of it at once; the user goes on.
TEST_F(LifecycleDestroy, SysfsLosesItBeforeItIsClosed) {
  const std::string parent = "/sys/devices/platform/" + dev->name();
  EXPECT_TRUE(exists(parent + "/vfio-dev"));
  auto child = destroy_elsewhere();
  EXPECT_FALSE(exists(parent + "/vfio-dev"));
  EXPECT_TRUE(exists(parent)) << "the device that it was a child of";
  EXPECT_TRUE(running(child->pid()));
  Memory m(kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kFirstIova, kPage));
  EXPECT_EQ(pin(s->device(), kFirstIova, 1), 1);
  s->device_fd().reset();
  child->wait();
}

TEST_F(LifecycleDestroy, AsksAgainEveryTenSeconds) {
  auto child = destroy_elsewhere();
  EXPECT_EQ(dev->stats().requests, 1u);
  sleep_ms(11000);
  EXPECT_EQ(dev->stats().requests, 2u);
  s->device_fd().reset();
  child->wait();
}

TEST_F(LifecycleDestroy, TheMappedRegionHoldsTheDevice) {
  Memory region(kPage, PROT_READ | PROT_WRITE, MAP_SHARED, s->device());
  ASSERT_TRUE(region.ok());
  s->device_fd().reset();
  int id = dev->id();
  Child child([&](Child& self) {
    region = Memory();
    s.reset();
    self.notify();
    int number = id;
    EXPECT_OK(call(testdev_control(), VFIO_TESTDEV_DESTROY, &number));
  });
  ASSERT_TRUE(child.await());
  sleep_ms(300);
  EXPECT_TRUE(running(child.pid())) << "a mapping is a user";
  region.data()[0] = 1;
  region = Memory();
  child.wait();
}

TEST_F(LifecycleDestroy, AnotherGroupOfTheContainerGoesOn) {
  Testdev other;
  ASSERT_TRUE(other.ok());
  Fd group = open_path(other.node());
  ASSERT_OK(group.get());
  ASSERT_OK(set_container(group, s->container()));
  Fd device = get_device(group, other.name());
  ASSERT_OK(device.get());
  Memory m(4 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kFirstIova, m.size()));
  s->device_fd().reset();
  ASSERT_OK(dev->destroy());
  EXPECT_EQ(pin(device, kFirstIova, 4), 4) << "mappings stay with the other";
  EXPECT_OK(unmap_dma(s->container(), kFirstIova, m.size()).result);
}

}  // namespace
