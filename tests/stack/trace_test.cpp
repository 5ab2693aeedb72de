// SPDX-License-Identifier: GPL-2.0
//
// The tracepoints of the modules, read as trace-cmd does: through tracefs, in
// an instance of its own.
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "debugfs.hpp"
#include "mdev.hpp"
#include "merge.hpp"
#include "nested.hpp"
#include "testdev.hpp"

namespace stack {
namespace {

constexpr uint64_t kIova = kFirstIova + 0x50000000;
const std::string kTracing = "/sys/kernel/tracing";

std::string hex(uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}

// The events of some systems, while it lives.
class Tracing {
 public:
  explicit Tracing(std::vector<std::string> systems)
      : systems_(std::move(systems)) {
    if (!exists(kTracing + "/trace")) {
      EXPECT_EQ(mount("tracefs", kTracing.c_str(), "tracefs", 0, nullptr), 0);
    }
    EXPECT_EQ(mkdir(dir_.c_str(), 0700), 0);
    for (const std::string& system : systems_)
      EXPECT_OK(write_text(dir_ + "/events/" + system + "/enable", "1"))
          << system;
  }
  ~Tracing() {
    for (const std::string& system : systems_)
      write_text(dir_ + "/events/" + system + "/enable", "0");
    EXPECT_EQ(rmdir(dir_.c_str()), 0);
  }

  // "event: what it says", in their order.
  std::vector<std::string> events() const {
    std::vector<std::string> found;
    for (const std::string& line : lines_of(read_all(dir_ + "/trace"))) {
      // "comm-pid [cpu] flags seconds: event: ..."
      const size_t at = line.find(": vfio_");
      if (line[0] == '#' || at == std::string::npos) continue;
      note("trace " + line);
      found.push_back(line.substr(at + 2));
    }
    return found;
  }
  void clear() { EXPECT_OK(write_text(dir_ + "/trace", "\n")); }

 private:
  const std::string dir_ = kTracing + "/instances/vfio_stack";
  const std::vector<std::string> systems_;
};

using Events = std::vector<std::string>;

class TraceType1 : public OneDevice {};

TEST_F(TraceType1, AMapThatFails) {
  Memory m(2 * kPage);
  m.touch(1);
  const std::string vaddr = hex(reinterpret_cast<uint64_t>(m.data()));
  Tracing tracing({"vfio_type1"});
  ASSERT_OK(map_dma(s.container(), m.data(), kIova, m.size()));
  EXPECT_ERR(EEXIST, map_dma(s.container(), m.data(), kIova, kPage));
  EXPECT_ERR(EFAULT, map_dma(s.container(), reinterpret_cast<void*>(kPage),
                             kIova + kGiB, kPage));
  EXPECT_ERR(EINVAL, unmap_dma(s.container(), kIova, kPage).result);
  EXPECT_OK(unmap_dma(s.container(), kIova, m.size()).result);
  EXPECT_EQ(tracing.events(),
            (Events{
                "vfio_type1_map: iova=" + hex(kIova) +
                    " size=0x2000 vaddr=" + vaddr + " flags=0x3 ret=0",
                "vfio_type1_map: iova=" + hex(kIova) +
                    " size=0x1000 vaddr=" + vaddr + " flags=0x3 ret=-17",
                "vfio_type1_map: iova=" + hex(kIova + kGiB) +
                    " size=0x1000 vaddr=0x1000 flags=0x3 ret=-14",
                "vfio_type1_unmap: iova=" + hex(kIova) +
                    " size=0x1000 flags=0x0 unmapped=0x0 ret=-22",
                "vfio_type1_unmap: iova=" + hex(kIova) +
                    " size=0x2000 flags=0x0 unmapped=0x2000 ret=0",
            }));
}

class TracePin : public OneTestdev {};

TEST_F(TracePin, PinsAndDirtyPages) {
  Memory m(4 * kPage);
  m.touch(1);
  ASSERT_OK(map_dma(s->container(), m.data(), kIova, m.size()));
  Tracing tracing({"vfio_type1"});
  EXPECT_OK(dirty_start(s->container()));
  EXPECT_EQ(pin(s->device(), kIova, 3), 3);
  EXPECT_ERR(EINVAL, pin(s->device(), kIova - kPage, 1));
  EXPECT_OK(unpin(s->device(), kIova, 3));
  EXPECT_OK(dirty_stop(s->container()));
  const Events events = tracing.events();
  ASSERT_GE(events.size(), 5u);
  EXPECT_EQ(events[0], "vfio_type1_dirty: flags=0x1 ret=0");
  EXPECT_TRUE(events[1].starts_with("vfio_type1_pin: group="));
  EXPECT_TRUE(
      events[1].ends_with(" iova=" + hex(kIova) + " npages=3 prot=0x3 ret=3"))
      << events[1];
  EXPECT_TRUE(events[2].ends_with(" npages=1 prot=0x3 ret=-22")) << events[2];
  EXPECT_TRUE(events[3].starts_with("vfio_type1_unpin: iova=" + hex(kIova)))
      << events[3];
  EXPECT_EQ(events.back(), "vfio_type1_dirty: flags=0x2 ret=0");
}

TEST(TraceLife, OfAContainer) {
  mount_debugfs();
  REQUIRE_DEVICES(1);
  const PciDevice device = lone_devices()[0];
  Tracing tracing({"vfio", "vfio_type1"});
  std::string container;
  {
    Session s({device});
    ASSERT_TRUE(s.ok());
    ASSERT_EQ(my_containers().size(), 1u);
    container = my_containers()[0];
  }
  container.pop_back();
  container = container.substr(container.rfind('/') + 1);
  const std::string group = std::to_string(device.group);
  EXPECT_EQ(
      tracing.events(),
      (Events{
          "vfio_container_open: container=" + container,
          "vfio_attach: container=" + container + " group=" + group + " ret=0",
          "vfio_type1_attach: group=" + group + " emulated=0 ret=0",
          "vfio_set_iommu: container=" + container + " type=3 ret=0",
          "vfio_device_open: " + device.bdf + " opens=1 ret=0",
          "vfio_device_close: " + device.bdf + " opens=0 ret=0",
          "vfio_detach: container=" + container + " group=" + group + " ret=0",
          "vfio_type1_detach: group=" + group,
          "vfio_container_close: container=" + container,
      }));
}

TEST(TraceLife, OfGroupsThatAreMerged) {
  REQUIRE_DEVICES(2);
  const std::vector<PciDevice> devices = lone_devices();
  Fd first = open_group(devices[0]), second = open_group(devices[1]);
  const std::string group = std::to_string(devices[0].group);
  Tracing tracing({"vfio"});
  EXPECT_ERR(EINVAL, merge(first, first));
  ASSERT_OK(merge(first, second));
  ASSERT_OK(unmerge(first, second));
  Events merges;
  for (const std::string& event : tracing.events())
    if (event.find("merge") != std::string::npos) merges.push_back(event);
  EXPECT_EQ(merges, (Events{"vfio_merge: group=" + group + " ret=-22",
                            "vfio_merge: group=" + group + " ret=0",
                            "vfio_unmerge: group=" + group + " ret=0"}));
}

TEST(TraceNested, MemoryOfAGuest) {
  REQUIRE_DEVICES(1);
  const ZpciModule module;
  const PciDevice device = lone_devices()[0];
  Memory m(4 * kPage);
  m.touch(1);
  Tracing tracing({"vfio_zpci"});
  {
    Session s({device}, VFIO_ZPCI_IOMMU);
    ASSERT_TRUE(s.ok());
    ASSERT_OK(map_dma(s.container(), m.data(), 0, m.size()));
    EXPECT_ERR(EEXIST, map_dma(s.container(), m.data(), 0, m.size()));
    ASSERT_OK(unmap_dma(s.container(), 0, m.size()).result);
  }
  const std::string group = std::to_string(device.group);
  EXPECT_EQ(tracing.events(),
            (Events{"vfio_zpci_attach: group=" + group + " ret=0",
                    "vfio_zpci_memory: map=1 gpa=0x0 size=0x4000 ret=0",
                    "vfio_zpci_memory: map=1 gpa=0x0 size=0x4000 ret=-17",
                    "vfio_zpci_memory: map=0 gpa=0x0 size=0x4000 ret=0",
                    "vfio_zpci_detach: group=" + group}));
}

TEST(TraceMdev, CreateAndRemove) {
  SampleDriver mtty("mtty");
  ASSERT_TRUE(mtty.ok());
  const std::string uuid = test_uuid(77);
  Tracing tracing({"vfio_mdev"});
  EXPECT_OK(mtty.create("1", uuid));
  EXPECT_ERR(EEXIST, mtty.create("1", uuid));
  EXPECT_OK(mdev_remove(uuid));
  EXPECT_EQ(tracing.events(),
            (Events{"vfio_mdev_create: parent=mtty uuid=" + uuid + " ret=36",
                    "vfio_mdev_create: parent=mtty uuid=" + uuid + " ret=-17",
                    "vfio_mdev_remove: device=" + uuid + " ret=1"}));
}

}  // namespace
}  // namespace stack
