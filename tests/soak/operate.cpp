// SPDX-License-Identifier: GPL-2.0
//
// Operations on files, and the choice among all.
#include "operate.hpp"

#include <fcntl.h>
#include <linux/vfio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../kunit/mock_iommu/vfio_mock.h"
#include "files.hpp"
#include "uapi/vfio_zpci.h"

namespace soak {

bool call(const char* op, int fd, unsigned long request, const void* arg) {
  bool done = ioctl(fd, request, arg) >= 0;
  count(op, done);
  return done;
}

void set_irq(int device, Random& random) {
  alignas(vfio_irq_set) uint8_t buffer[sizeof(vfio_irq_set) + sizeof(int)] = {};
  auto* set = reinterpret_cast<vfio_irq_set*>(buffer);
  set->argsz = sizeof buffer;
  set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  set->index = static_cast<uint32_t>(random.below(5));
  set->count = 1;
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  memcpy(set->data, &fd, sizeof fd);
  call("eventfd irq", device, VFIO_DEVICE_SET_IRQS, set);
  close(fd);
}

namespace {

bool is_emulated(int target) { return target >= shared->first_testdev; }

bool is_mdev(int target) { return target >= shared->first_mdev; }

bool is_pci(int target) { return !is_emulated(target) && target >= kMocks; }

// Those behind mock IOMMUs come first, then those on the PCI bus, then the
// emulated ones; they are not equally many.
int pick_target(Random& random) {
  int first = 0, end = kMocks;
  switch (random.below(5)) {
    case 0:
      first = kMocks;
      end = shared->first_testdev;
      break;
    case 1:
    case 2:
      first = shared->first_testdev;
      end = shared->ntargets;
      break;
  }
  return first + static_cast<int>(random.below(end - first));
}

void open_device_of(int group, int target, Random& random) {
  int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, shared->targets[target].name);
  count("open device", fd >= 0);
  if (fd >= 0)
    files.put(is_emulated(target) ? kEmulated : kDevice, fd,
              {target, files.tag(group).container}, random);
}

bool set_container(int group, int container) {
  return call("SET_CONTAINER", group, VFIO_GROUP_SET_CONTAINER, &container);
}

void open_group(Random& random) {
  int target = pick_target(random), number = shared->targets[target].group;
  if (number < 0) return;
  int fd = open(("/dev/vfio/" + std::to_string(number)).c_str(), O_RDWR);
  count("open group", fd >= 0);
  if (fd < 0) return;
  // Most groups go on into a container.
  int container = files.container(is_emulated(target), random);
  files.put(kGroup, fd, {target, container}, random);
  if (container < 0 || random.one_in(8)) return;
  if (!set_container(fd, container)) return;
  // One that had a group has its IOMMU already.
  if (ioctl(container, VFIO_CHECK_EXTENSION, VFIO_UPDATE_VADDR) <= 0)
    count("SET_IOMMU", !ioctl(container, VFIO_SET_IOMMU,
                              !is_emulated(target) && random.one_in(3)
                                  ? VFIO_ZPCI_IOMMU
                                  : VFIO_TYPE1v2_IOMMU));
  open_device_of(fd, target, random);
}

void open_container(Random& random) {
  int fd = open("/dev/vfio/vfio", O_RDWR);
  count("open container", fd >= 0);
  if (fd >= 0) files.put(kContainer, fd, {}, random);
}

void open_device(Random& random) {
  int group = files.any(kGroup, random);
  if (group < 0) return;
  // Now and then one that is not of this group.
  int target = random.one_in(6) ? -1 : files.tag(group).target;
  open_device_of(group, target < 0 ? pick_target(random) : target, random);
}

void container_files(Random& random) {
  int container = files.any(kContainer, random),
      group = files.any(kGroup, random);
  if (container < 0) return open_container(random);
  if (group < 0) return open_group(random);
  switch (random.below(6)) {
    case 0:
      if (random.one_in(8)) open_container(random);
      break;
    case 1:
    case 2:
      open_group(random);
      break;
    case 3:
      set_container(group, container);
      break;
    case 4:
      if (random.one_in(2))
        call("UNSET_CONTAINER", group, VFIO_GROUP_UNSET_CONTAINER, nullptr);
      break;
    case 5: {
      static constexpr unsigned long kTypes[] = {
          VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU, VFIO_ZPCI_IOMMU};
      unsigned long type = kTypes[random.below(std::size(kTypes))];
      count("SET_IOMMU", !ioctl(container, VFIO_SET_IOMMU, type));
      break;
    }
  }
}

Kind device_kind(Random& random) {
  return random.one_in(2) ? kDevice : kEmulated;
}

void duplicate(Random& random) {
  Kind kind = device_kind(random);
  int fd = files.any(kind, random), copy = fd < 0 ? -1 : dup(fd);
  if (copy >= 0) files.put(kind, copy, files.tag(fd), random);
  count("dup", copy >= 0);
}

void close_some(Random& random) {
  switch (random.below(16)) {
    case 0:
      files.close_all(random);
      if (random.one_in(2)) open_session(random);
      break;
    case 1:
    case 2:
      count("close container", files.close_one(kContainer, random));
      break;
    case 3:
    case 4:
    case 5:
      duplicate(random);
      break;
    default:
      if (random.one_in(2))
        count("close group", files.close_one(kGroup, random));
      else
        count("close device", files.close_one(device_kind(random), random));
  }
}

void ask(Random& random) {
  int container = files.any(kContainer, random),
      group = files.any(kGroup, random);
  switch (random.below(3)) {
    case 0:
      count("CHECK_EXTENSION",
            ioctl(container, VFIO_CHECK_EXTENSION, random.below(12)) >= 0);
      break;
    case 1: {
      vfio_group_status status{};
      status.argsz = sizeof status;
      call("group status", group, VFIO_GROUP_GET_STATUS, &status);
      break;
    }
    case 2: {
      alignas(8) uint8_t buffer[512] = {};
      auto* info = reinterpret_cast<vfio_iommu_type1_info*>(buffer);
      info->argsz = static_cast<uint32_t>(random.one_in(2) ? sizeof buffer
                                                           : random.below(100));
      call("container info", container, VFIO_IOMMU_GET_INFO, info);
      break;
    }
  }
}

// The others know little more than their info.
int pci_device(Random& random) {
  int device = files.any(random.one_in(6) ? kEmulated : kDevice, random);
  for (int tries = 0; tries < 6 && !is_pci(files.tag(device).target); tries++)
    device = files.any(kDevice, random);
  return device;
}

// Info, and a word of its configuration space, which its driver makes up. Not
// its interrupts: the sample driver forgets about eventfds when it is closed.
void mediated_ioctl(Random& random) {
  int device = files.any(kEmulated, random);
  for (int tries = 0; tries < 6 && !is_mdev(files.tag(device).target); tries++)
    device = files.any(kEmulated, random);
  if (!is_mdev(files.tag(device).target)) return;
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = VFIO_PCI_CONFIG_REGION_INDEX;
  uint32_t word;
  count("mediated device",
        !ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) &&
            pread(device, &word, sizeof word,
                  static_cast<off_t>(info.offset)) == sizeof word);
}

void device_ioctl(Random& random) {
  if (random.one_in(4)) return mediated_ioctl(random);
  int device = pci_device(random);
  if (device < 0) return open_device(random);
  switch (random.below(5)) {
    case 0: {
      vfio_device_info info{};
      info.argsz = sizeof info;
      call("device info", device, VFIO_DEVICE_GET_INFO, &info);
      break;
    }
    case 1: {
      vfio_region_info info{};
      info.argsz = sizeof info;
      info.index = VFIO_PCI_CONFIG_REGION_INDEX;
      uint32_t word;
      count("region", !ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) &&
                          pread(device, &word, sizeof word,
                                static_cast<off_t>(info.offset)) > 0);
      break;
    }
    case 2:
      if (random.one_in(2)) call("reset", device, VFIO_DEVICE_RESET, nullptr);
      break;
    case 3:
      set_irq(device, random);
      break;
    case 4: {
      // BAR 0 stands at offset 0. The kernel reads it: no signal if it is off.
      void* bar =
          mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device, 0);
      count("mmap BAR", bar != MAP_FAILED);
      if (bar == MAP_FAILED) break;
      int sink = memfd_create("sink", MFD_CLOEXEC);
      [[maybe_unused]] ssize_t n = write(sink, bar, 4);
      close(sink);
      munmap(bar, kPage);
      break;
    }
  }
}

}  // namespace

void open_session(Random& random) {
  for (int i = 0; i < 2 * kSlots[kContainer]; i++) open_container(random);
  for (int i = 0; i < 10; i++) open_group(random);
}

void operate(Random& random) {
  start_clock();
  if (int target = shared->wanted; target >= 0 && random.one_in(10)) {
    files.let_go(target);
    // They hold a device open like its file.
    close_windows();
  }
  switch (random.below(58)) {
    case 0 ... 2:
      container_files(random);
      break;
    case 3:
      open_device(random);
      break;
    case 4:
      if (random.one_in(3)) close_some(random);
      break;
    case 5:
      ask(random);
      break;
    case 6 ... 7:
      device_ioctl(random);
      break;
    case 8 ... 9:
      arena.disturb(random);
      break;
    case 10 ... 11:
      arena.touch(random);
      break;
    case 12:
      mock_ioctl(random);
      break;
    case 13 ... 18:
      emulated(random);
      break;
    case 19 ... 20:
      dirty(random);
      break;
    case 21 ... 30:
      map(random);
      break;
    case 31 ... 34:
      engine(random);
      break;
    case 35 ... 36:
      merging(random);
      break;
    case 46 ... 53:
      nested(random);
      break;
    case 54 ... 57:
      gating(random);
      break;
    default:
      unmap(random);
      break;
  }
}

}  // namespace soak
