// SPDX-License-Identifier: GPL-2.0
//
// What devices there are, and the process that makes them come and go.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../kunit/mock_iommu/vfio_mock.h"
#include "../kmod/vfio_testdev.h"
#include "soak.hpp"

namespace soak {
namespace {

constexpr int kTestdevs = 4, kMdevs = 2, kEngines = 3;
const std::string kPci = "/sys/bus/pci/devices/";
const std::string kMdev = "/sys/bus/mdev/devices/";
// The PCI device that guest.sh gives to mdev_copy.
const std::string kParent = "0000:00:06.0";

int group_of(const std::string& device) {
  char target[256] = {};
  if (readlink((device + "/iommu_group").c_str(), target, sizeof target - 1) <
      0)
    return -1;
  return atoi(strrchr(target, '/') + 1);
}

void add_target(const std::string& name, int group) {
  if (shared->ntargets == kMaxDevices) return;
  Target& t = shared->targets[shared->ntargets++];
  strncpy(t.name, name.c_str(), sizeof t.name - 1);
  t.id = -1;
  t.group = group;
}

int control() {
  static int fd = open("/dev/" VFIO_TESTDEV_NAME, O_RDWR | O_CLOEXEC);
  return fd;
}

void create(Target& t, Random& random) {
  vfio_testdev_create c{};
  c.kind = random.one_in(8) ? VFIO_TESTDEV_BARE : VFIO_TESTDEV_FULL;
  c.set = static_cast<uint32_t>(random.below(3));
  bool done = !ioctl(control(), VFIO_TESTDEV_CREATE, &c);
  count("create device", done);
  if (!done) return;
  strncpy(t.name, c.name, sizeof t.name - 1);
  t.id = c.id;
  t.group = c.group;
}

void short_sleep(Random& random) {
  if (random.one_in(3)) usleep(static_cast<useconds_t>(random.below(50000)));
}

// Says so to those who may have it open, who should close it then.
class Wanted {
 public:
  explicit Wanted(const Target& t) {
    shared->wanted = static_cast<int>(&t - shared->targets);
  }
  ~Wanted() { shared->wanted = -1; }
};

void destroy(Target& t) {
  Wanted wanted(t);
  t.group = -1;
  int id = t.id.exchange(-1);
  count("destroy device", !ioctl(control(), VFIO_TESTDEV_DESTROY, &id));
}

void churn_testdev(Random& random) {
  Target& t = shared->targets[shared->first_testdev + random.below(kTestdevs)];
  if (t.id >= 0) destroy(t);
  if (t.id < 0 && !random.one_in(4)) create(t, random);
}

bool is_engine(const Target& t) {
  return &t >= &shared->targets[shared->first_copy];
}

// The last engine is the one whose parent moves the data.
Target& of_parent() { return shared->targets[shared->ntargets - 1]; }

// A serial port of the kernel's sample driver, or a copy engine.
std::string mdev_type(const Target& t, Random& random) {
  static const char* const kRings[] = {"64", "256", "1024"};
  std::string parent = "mtty", type = "mtty-1";
  if (is_engine(t)) {
    parent = &t == &of_parent() ? kParent : "mdev_copy";
    type = std::string("mdev_copy-") + kRings[random.below(std::size(kRings))];
  }
  return "/sys/class/mdev_bus/" + parent + "/mdev_supported_types/" + type;
}

// Its name, a UUID, is always the same.
void create_mdev(Target& t, Random& random) {
  bool done = write_text(mdev_type(t, random) + "/create", t.name);
  count(is_engine(t) ? "create engine" : "create mdev", done);
  if (done) t.group = group_of(kMdev + t.name);
}

void remove_mdev(Target& t) {
  Wanted wanted(t);
  t.group = -1;
  count(is_engine(t) ? "remove engine" : "remove mdev",
        write_text(kMdev + t.name + "/remove", "1"));
}

void churn_mdev(Target& t, Random& random) {
  if (t.group >= 0) remove_mdev(t);
  if (!random.one_in(4)) create_mdev(t, random);
}

// Its instance goes with it, be it open.
void unbind_parent(Random& random) {
  const std::string driver = "/sys/bus/pci/drivers/mdev_copy/";
  {
    Wanted wanted(of_parent());
    of_parent().group = -1;
    count("unbind engine's parent", write_text(driver + "unbind", kParent));
  }
  short_sleep(random);
  count("bind engine's parent", write_text(driver + "bind", kParent));
  create_mdev(of_parent(), random);
}

// All instances go with it, but none may be open: they are waited for, and at
// last removed.
void unload_engines(Random& random) {
  bool done = false;
  for (int i = 0; i < 4 * kEngines && !done; i++) {
    Target& t = shared->targets[shared->first_copy + i % kEngines];
    if (i >= 3 * kEngines && group_of(kMdev + t.name) >= 0) remove_mdev(t);
    Wanted wanted(t);
    t.group = -1;
    usleep(20000);
    done = !syscall(SYS_delete_module, "mdev_copy", O_NONBLOCK);
  }
  count("unload engine's driver", done);
  short_sleep(random);
  if (done) count("load engine's driver", !system("modprobe mdev_copy"));
  for (int i = shared->first_copy; i < shared->ntargets; i++) {
    Target& t = shared->targets[i];
    t.group = group_of(kMdev + t.name);
    if (t.group < 0) create_mdev(t, random);
  }
}

void churn_engine(Random& random) {
  // What is seldom comes first, so that it happens in a short run too.
  static uint64_t begun;
  switch (begun < 2 ? begun++ : random.below(6)) {
    case 0:
      unbind_parent(random);
      break;
    case 1:
      unload_engines(random);
      break;
    default:
      churn_mdev(shared->targets[shared->first_copy + random.below(kEngines)],
                 random);
      break;
  }
}

void unbind(Target& t, const std::string& driver, Random& random) {
  {
    Wanted wanted(t);
    count("unbind", write_text(driver + "unbind", t.name));
  }
  short_sleep(random);
  count("bind", write_text(driver + "bind", t.name));
}

// A device that is pulled out, and found again.
void remove(Target& t, const std::string& driver, Random& random) {
  std::string device = kPci + t.name;
  t.group = -1;
  {
    Wanted wanted(t);
    count("remove device", write_text(device + "/remove", "1"));
  }
  short_sleep(random);
  count("rescan", write_text("/sys/bus/pci/rescan", "1"));
  bool found = write_text(device + "/driver_override", "vfio-pci") &&
               write_text(driver + "bind", t.name);
  count("bind", found);
  if (found) t.group = group_of(device);
}

void churn_pci(Random& random) {
  Target& t =
      shared->targets[kMocks + random.below(shared->first_testdev - kMocks)];
  const std::string driver = "/sys/bus/pci/drivers/vfio-pci/";
  short_sleep(random);
  // Scanning the bus takes seconds.
  static bool removed_one;
  if (!removed_one || random.one_in(8)) {
    removed_one = true;
    remove(t, driver, random);
  } else {
    unbind(t, driver, random);
  }
}

void churn_parameter(Random& random) {
  static const std::string kDir = "/sys/module/vfio_iommu_type1/parameters/";
  static const std::string kEngineDir = "/sys/module/mdev_copy/parameters/";
  static const std::string kNestedDir = "/sys/module/vfio_zpci/parameters/";
  switch (random.below(5)) {
    case 4:
      count("module parameter", write_text(kNestedDir + "dma_entry_limit",
                                           random.one_in(3) ? "16" : "65535"));
      break;
    case 0:
      count("module parameter", write_text(kDir + "allow_unsafe_interrupts",
                                           random.one_in(2) ? "Y" : "N"));
      break;
    case 1:
      count("module parameter", write_text(kDir + "disable_hugepages",
                                           random.one_in(3) ? "Y" : "N"));
      break;
    case 2:
      count("module parameter", write_text(kDir + "dma_entry_limit",
                                           random.one_in(3) ? "16" : "65535"));
      break;
    case 3:
      count("module parameter", write_text(kEngineDir + "max_pinned",
                                           random.one_in(2) ? "256" : "16384"));
      break;
  }
}

void set_remapped(uint32_t iommu, bool remapped) {
  static int fd = open("/dev/vfio_mock", O_RDWR | O_CLOEXEC);
  vfio_mock_flags f{};
  f.iommu = iommu;
  f.flags = remapped ? VFIO_MOCK_INTREMAP : 0;
  if (iommu == 0) f.flags |= VFIO_MOCK_COHERENT;
  // Guests of vfio_zpci do.
  f.flags |= VFIO_MOCK_BY_PAGE;
  count("mock interrupt remapping", !ioctl(fd, VFIO_MOCK_FLAGS, &f));
}

void churn_mock(Random& random) {
  set_remapped(static_cast<uint32_t>(random.below(VFIO_MOCK_IOMMUS)),
               !random.one_in(4));
}

}  // namespace

void make_targets() {
  for (int iommu = 0; iommu < VFIO_MOCK_IOMMUS; iommu++)
    for (int nr = 0; nr < VFIO_MOCK_DEVICES; nr++) {
      std::string bus = "vfio_mock" + std::to_string(iommu);
      std::string name = bus + "." + std::to_string(nr);
      int group = group_of("/sys/bus/" + bus + "/devices/" + name);
      if (group < 0) failed("%s has no group", name.c_str());
      add_target(name, group);
    }
  if (DIR* dir = opendir("/sys/bus/pci/drivers/vfio-pci")) {
    while (dirent* entry = readdir(dir))
      if (strchr(entry->d_name, ':'))
        add_target(entry->d_name, group_of(kPci + entry->d_name));
    closedir(dir);
  }
  Random random(0);
  shared->first_testdev = shared->ntargets;
  if (shared->first_testdev <= kMocks) failed("no PCI device to use");
  for (int i = 0; i < kTestdevs && shared->ntargets < kMaxDevices; i++) {
    add_target("", -1);
    create(shared->targets[shared->ntargets - 1], random);
  }
  shared->first_mdev = shared->ntargets;
  for (int i = 0; i < kMdevs && shared->ntargets < kMaxDevices; i++)
    add_target("50a50a50-0000-4000-8000-00000000000" + std::to_string(i), -1);
  shared->first_copy = shared->ntargets;
  for (int i = 0; i < kEngines && shared->ntargets < kMaxDevices; i++)
    add_target("c0b1e5c0-0000-4000-8000-00000000000" + std::to_string(i), -1);
  if (shared->ntargets != shared->first_copy + kEngines)
    failed("more devices than %d", kMaxDevices);
  for (int i = shared->first_mdev; i < shared->ntargets; i++)
    create_mdev(shared->targets[i], random);
}

void remove_emulated() {
  for (int i = shared->first_testdev; i < shared->first_mdev; i++)
    if (shared->targets[i].id >= 0) destroy(shared->targets[i]);
  for (int i = shared->first_mdev; i < shared->ntargets; i++)
    if (shared->targets[i].group >= 0) remove_mdev(shared->targets[i]);
}

void run_churn() {
  Random random(++shared->next_stream);
  // The last one says at first that they are not, and would not be used.
  for (uint32_t iommu = 0; iommu < VFIO_MOCK_IOMMUS; iommu++)
    set_remapped(iommu, true);
  while (!shared->stop_all) {
    start_clock();
    switch (random.below(9)) {
      case 0:
      case 1:
        churn_testdev(random);
        break;
      case 2:
      case 3:
        churn_pci(random);
        break;
      case 4:
        churn_parameter(random);
        break;
      case 5:
        churn_mock(random);
        break;
      case 6:
        churn_mdev(shared->targets[shared->first_mdev + random.below(kMdevs)],
                   random);
        break;
      case 7:
      case 8:
        churn_engine(random);
        break;
    }
    // To make or remove a device takes some 0.3 s of a debug kernel's time.
    usleep(static_cast<useconds_t>(random.below(600000)));
  }
  exit(0);
}

}  // namespace soak
