// SPDX-License-Identifier: GPL-2.0
//
// What a user of a copy engine does (samples/mdev_copy): a ring in some mapped
// page, descriptors of what may be mapped, the doorbell, stop and reset, while
// other threads take the memory away, the ring's too.
#include <fcntl.h>
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../samples/mdev_copy/mdev_copy.h"
#include "files.hpp"
#include "operate.hpp"
#include "recent.hpp"

namespace soak {
namespace {

constexpr uint32_t kMaxJobs = 6, kPciCommand = 4;
constexpr uint16_t kMaster = 4;
// Of one that the parent does, by some 100 ms a transfer.
constexpr uint32_t kParentBytes = 256;

constexpr off_t region(uint32_t index, uint32_t offset) {
  return (off_t{index} << 40) + offset;
}

template <typename T>
T read_register(int device, uint32_t offset) {
  T value = 0;
  ssize_t n = pread(device, &value, sizeof value,
                    region(VFIO_PCI_BAR0_REGION_INDEX, offset));
  return n == sizeof value ? value : 0;
}

template <typename T>
void write_register(int device, uint32_t offset, T value,
                    uint32_t index = VFIO_PCI_BAR0_REGION_INDEX) {
  [[maybe_unused]] ssize_t n =
      pwrite(device, &value, sizeof value, region(index, offset));
}

int pick_engine(Random& random) {
  for (int tries = 0; tries < 8; tries++) {
    int device = files.any(kEmulated, random);
    if (files.tag(device).target >= shared->first_copy) return device;
  }
  return -1;
}

// In what the ring is in, which is mapped if there is a job at all, or
// elsewhere.
uint64_t pick_address(const Recent::Entry& ring, Random& random) {
  return random.one_in(2) ? ring.iova + random.below(ring.size)
                          : mapped_iova(ring.fd, random) + random.below(kPage);
}

mdev_copy_desc pick_job(const Recent::Entry& ring, bool by_parent,
                        Random& random) {
  mdev_copy_desc desc{};
  uint64_t most = random.one_in(4) ? 64 * kPage : 2 * kPage;
  if (by_parent) most = kParentBytes;
  desc.op = static_cast<uint32_t>(MDEV_COPY_OP_COPY + random.below(3));
  desc.length = static_cast<uint32_t>(1 + random.below(most));
  desc.src = pick_address(ring, random);
  desc.dst = pick_address(ring, random);
  if (desc.op == MDEV_COPY_OP_FILL) {
    desc.length = (desc.length + 3) & ~3u;
    desc.dst &= ~3ull;
  }
  if (random.one_in(32)) desc.dst = 0ull - random.below(2 * kPage);
  desc.flags = random.one_in(2) ? MDEV_COPY_DESC_IRQ : 0;
  return desc;
}

void start(int device, uint64_t ring, uint32_t entries, Random& random) {
  write_register<uint16_t>(device, kPciCommand, random.one_in(16) ? 0 : kMaster,
                           VFIO_PCI_CONFIG_REGION_INDEX);
  write_register<uint32_t>(device, MDEV_COPY_CTRL, 0);
  write_register<uint64_t>(device, MDEV_COPY_RING_BASE, ring);
  write_register<uint32_t>(device, MDEV_COPY_RING_SIZE, entries);
  uint32_t poll = random.one_in(4) ? MDEV_COPY_CTRL_POLL : 0;
  write_register<uint32_t>(device, MDEV_COPY_CTRL,
                           MDEV_COPY_CTRL_ENABLE | poll);
  count("start engine", read_register<uint32_t>(device, MDEV_COPY_CTRL) &
                            MDEV_COPY_CTRL_ENABLE);
}

void count_job(const mdev_copy_desc& desc) {
  static constexpr const char* kNames[] = {"engine copy", "engine fill",
                                           "engine CRC32"};
  count(kNames[(desc.op - MDEV_COPY_OP_COPY) % std::size(kNames)],
        desc.status == MDEV_COPY_DONE && desc.done == desc.length);
}

// The descriptors pass through `sink`: the kernel reads and writes the ring, no
// signal if it is not there.
void run_jobs(int device, int container, int sink, Random& random) {
  Recent::Entry e = mappings.pick(container, random);
  if (!e.size) return;
  bool by_parent =
      read_register<uint32_t>(device, MDEV_COPY_CAPS) & MDEV_COPY_CAP_PARENT;
  // Who unmaps waits for it, and all others of the container too.
  if (by_parent && !random.one_in(4)) return;
  uint64_t page = random.below(e.size / kPage) * kPage;
  auto* ring = reinterpret_cast<mdev_copy_desc*>(e.uva + page);
  mdev_copy_desc jobs[kMaxJobs];
  uint32_t njobs =
      by_parent ? 1 : 1 + static_cast<uint32_t>(random.below(kMaxJobs));
  const ssize_t size = njobs * sizeof jobs[0];
  for (mdev_copy_desc& job : jobs) job = pick_job(e, by_parent, random);

  start(device, e.iova + page, 8u << random.below(4), random);
  if (pwrite(sink, jobs, size, 0) != size || pread(sink, ring, size, 0) != size)
    return;
  write_register<uint32_t>(device, MDEV_COPY_TAIL, njobs);
  if (random.one_in(4)) return unmap(random);
  uint64_t end_ms = now_ms() + (by_parent ? 500 : 50);
  bool halted = false;
  while (!jobs[njobs - 1].status && !halted && now_ms() < end_ms) {
    usleep(500);
    halted = read_register<uint32_t>(device, MDEV_COPY_STATUS) &
             MDEV_COPY_STATUS_HALTED;
    if (pwrite(sink, ring, size, 0) != size ||
        pread(sink, jobs, size, 0) != size)
      return;
  }
  // The ring could not be read.
  if (halted && !jobs[0].status) mappings.forget(e);
  for (uint32_t i = 0; i < njobs; i++) count_job(jobs[i]);
}

// A tail that may be nobody's, by the mapped page.
void ring_doorbell(int device, Random& random) {
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, device,
                    region(VFIO_PCI_BAR2_REGION_INDEX, 0));
  count("engine doorbell", page != MAP_FAILED);
  if (page == MAP_FAILED) return;
  auto* doorbell = static_cast<volatile mdev_copy_doorbell*>(page);
  doorbell->tail =
      static_cast<uint32_t>(random.below(random.one_in(4) ? 100 : 8));
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (doorbell->asleep || random.one_in(4))
    write_register<uint32_t>(device, MDEV_COPY_KICK, 1);
  munmap(page, kPage);
}

// Waits for what is in work.
void stop(int device) {
  write_register<uint32_t>(device, MDEV_COPY_CTRL, 0);
  count("stop engine",
        read_register<uint32_t>(device, MDEV_COPY_ID) == MDEV_COPY_MAGIC);
}

}  // namespace

void engine(Random& random) {
  int device = pick_engine(random);
  if (device < 0) return;
  switch (random.below(12)) {
    case 0:
      stop(device);
      break;
    case 1:
      call("reset engine", device, VFIO_DEVICE_RESET, nullptr);
      break;
    case 2:
      set_irq(device, random);
      break;
    case 3:
      ring_doorbell(device, random);
      break;
    default: {
      int sink = memfd_create("sink", MFD_CLOEXEC);
      run_jobs(device, files.tag(device).container, sink, random);
      close(sink);
      break;
    }
  }
}

}  // namespace soak
