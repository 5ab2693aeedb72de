// SPDX-License-Identifier: GPL-2.0
//
// The devices' side: what emulated ones pin, read and write, and what those
// behind the mock IOMMUs reach.
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../../kunit/mock_iommu/vfio_mock.h"
#include "../kmod/vfio_testdev.h"
#include "files.hpp"
#include "operate.hpp"
#include "recent.hpp"

namespace soak {
namespace {

struct Pages {
  uint64_t iova, npages;
  Recent::Entry of;
};

// From some page on, in what this process mapped into the device's container,
// most often.
Pages mapped_pages(int container, Random& random) {
  Recent::Entry e = mappings.pick(container, random);
  if (!e.size || random.one_in(8))
    return {pick_iova(random), random.below(64), {-1, 0, 0, 0}};
  uint64_t page = random.below(e.size / kPage);
  return {e.iova + page * kPage, e.size / kPage - page, e};
}

void pin(int device, int container, uint32_t flags, Random& random) {
  Pages pages = mapped_pages(container, random);
  vfio_testdev_pin pin{};
  pin.iova = pages.iova;
  pin.npage = 1;
  if (random.one_in(3)) pin.npage = static_cast<int32_t>(pages.npages);
  if (random.one_in(8)) pin.npage = static_cast<int32_t>(random.below(513));
  pin.prot =
      VFIO_TESTDEV_PROT_READ | (random.one_in(3) ? 0 : VFIO_TESTDEV_PROT_WRITE);
  pin.flags = flags;
  bool done = !ioctl(device, VFIO_TESTDEV_PIN, &pin) && pin.ret > 0;
  count("pin", done);
  if (done)
    pins.add({device, pin.iova, static_cast<uint64_t>(pin.ret) * kPage, 0});
  else if (pin.npage == 1)
    mappings.forget(pages.of);
}

void unpin(int device, uint32_t flags, Random& random) {
  Recent::Entry e = pins.pick(device, random);
  if (!e.size) e = {device, pick_iova(random), random.below(64) * kPage, 0};
  vfio_testdev_pin pin{};
  pin.iova = e.iova;
  pin.npage = static_cast<int32_t>(random.one_in(3) ? 1 : e.size / kPage);
  pin.flags = flags;
  call("unpin", device, VFIO_TESTDEV_UNPIN, &pin);
  pins.forget(e);
}

void read_or_write(int device, int container, uint32_t flags, Random& random) {
  uint8_t data[3 * kPage] = {};
  vfio_testdev_dma_rw rw{};
  rw.iova = mapped_iova(container, random) + random.below(kPage);
  rw.data = reinterpret_cast<uintptr_t>(data);
  rw.size = static_cast<uint32_t>(
      1 + random.below(random.one_in(2) ? 64 : sizeof data));
  rw.write = random.one_in(2);
  rw.flags = flags;
  count(rw.write ? "dma_rw write" : "dma_rw read",
        !ioctl(device, VFIO_TESTDEV_DMA_RW, &rw) && !rw.ret);
}

}  // namespace

uint64_t mapped_iova(int container, Random& random) {
  return mapped_pages(container, random).iova;
}

void emulated(Random& random) {
  int device = files.any(random.one_in(20) ? kDevice : kEmulated, random);
  // Mediated ones know nothing of this.
  for (int tries = 0;
       tries < 4 && files.tag(device).target >= shared->first_mdev; tries++)
    device = files.any(kEmulated, random);
  if (device < 0) return;
  int container = files.tag(device).container;
  // A kernel worker takes the owner's address space, we have our own.
  uint32_t flags = random.one_in(3) ? VFIO_TESTDEV_KTHREAD : 0;
  switch (random.below(12)) {
    case 0 ... 4:
      pin(device, container, flags, random);
      break;
    case 5 ... 6:
      unpin(device, flags, random);
      break;
    case 7 ... 10:
      read_or_write(device, container, flags, random);
      break;
    case 11: {
      if (random.one_in(2)) {
        vfio_testdev_policy policy{};
        policy.policy = static_cast<uint32_t>(random.below(2));
        call("unpin policy", device, VFIO_TESTDEV_POLICY, &policy);
      } else {
        vfio_testdev_unmap_event list[VFIO_TESTDEV_MAX_EVENTS];
        vfio_testdev_events events{};
        events.events = reinterpret_cast<uintptr_t>(list);
        call("unmap events", device, VFIO_TESTDEV_EVENTS, &events);
      }
      break;
    }
  }
}

void mock_ioctl(Random& random) {
  static int fd = open("/dev/vfio_mock", O_RDWR | O_CLOEXEC);
  int device = files.any(kDevice, random), target = files.tag(device).target;
  if (target < 0 || target >= kMocks)
    target = static_cast<int>(random.below(kMocks));
  uint32_t iommu = target / VFIO_MOCK_DEVICES;
  if (random.one_in(6)) {
    vfio_mock_fail fail{};
    fail.iommu = iommu;
    fail.kind = static_cast<uint32_t>(random.below(VFIO_MOCK_FAIL_KINDS));
    fail.nth = 1 + static_cast<uint32_t>(random.below(8));
    call("mock fails next", fd, VFIO_MOCK_FAIL, &fail);
    return;
  }
  vfio_mock_pte pte{};
  pte.iommu = iommu;
  pte.device = target % VFIO_MOCK_DEVICES;
  pte.iova = mapped_iova(files.tag(device).container, random);
  count("mock pte", !ioctl(fd, VFIO_MOCK_PTE, &pte) && pte.size);
}

// The mock copies without a lock, as a device does: if what it reaches were
// freed memory, KASAN would say so.
void read_through_mocks() {
  int fd = open("/dev/vfio_mock", O_RDWR | O_CLOEXEC);
  Random random(0);
  uint8_t data[kPage];
  for (int target = 0; target < kMocks; target++)
    for (int i = 0; i < 24; i++) {
      int container = files.any(kContainer, random);
      vfio_mock_dma dma{};
      dma.iommu = target / VFIO_MOCK_DEVICES;
      dma.device = target % VFIO_MOCK_DEVICES;
      dma.iova = mapped_iova(container, random);
      dma.data = reinterpret_cast<uintptr_t>(data);
      dma.size = sizeof data;
      count("mock dma", !ioctl(fd, VFIO_MOCK_DMA, &dma));
    }
  close(fd);
}

}  // namespace soak
