// SPDX-License-Identifier: GPL-2.0
//
// Guests of vfio_zpci: containers whose devices follow I/O page tables. All
// guests have the same tables, of either format, and the pages of their
// doorbells in memory that all processes share and write to at any time. The
// rest of a guest's memory is what map() and unmap() leave there.
#include <endian.h>
#include <linux/vfio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "files.hpp"
#include "operate.hpp"
#include "uapi/vfio_zpci.h"

namespace soak {
namespace {

constexpr uint32_t kHandles = 4;
constexpr unsigned kBells = 2;

// The shared memory, at a guest address below that of other mappings: for s390
// a region-third, a segment and some page tables, for VT-d tables of 3 levels,
// the doorbells' pages.
constexpr uint64_t kGuest = 1 << 20;
constexpr uint64_t kPageTables = 4;
constexpr uint64_t kS390Root = 0, kS390Segments = 16 << 10,
                   kS390Pages = 32 << 10;
constexpr uint64_t kVtdRoot = 40 << 10, kVtdMiddle = 44 << 10,
                   kVtdPages = 48 << 10;
constexpr uint64_t kBellPages = 64 << 10;
static_assert(kBellPages + kBells * kPage <= kGuestSize);

uint64_t& word(uint64_t offset) {
  return *reinterpret_cast<uint64_t*>(shared->guest + offset);
}

void store(uint64_t offset, uint64_t value) {
  __atomic_store_n(&word(offset), value, __ATOMIC_RELAXED);
}

// Of memory that may be mapped; seldom of the tables.
uint64_t some_gpa(Random& random) {
  if (random.one_in(16))
    return kGuest + random.below(kGuestSize / kPage) * kPage;
  return pick_iova(random);
}

// Both formats have bits for what may be done in the low bits of an entry.
void write_page(Random& random, bool vtd) {
  uint64_t entry = some_gpa(random) | (vtd ? 3 : 0);
  switch (random.below(24)) {
    case 0:
      if (random.one_in(4)) entry = random.next();
      break;
    case 1 ... 3:
      entry = vtd ? 0 : 0x400;
      break;
    case 4 ... 6:
      entry ^= vtd ? 2 : 0x200;  // may only be read
      break;
  }
  // Page tables of both formats lie in a row.
  if (vtd)
    store(kVtdPages + random.below(kPageTables * 512) * 8, htole64(entry));
  else
    store(kS390Pages + random.below(kPageTables * 256) * 8, htobe64(entry));
}

// An entry of the level above, for the IOVAs of the window.
void write_table(Random& random, bool vtd) {
  const uint64_t frame = vtd ? 2 << 20 : 1 << 20;
  const uint64_t index = (kIova + random.below(kIovaSize)) / frame;
  const uint64_t table = random.below(kPageTables);
  uint64_t entry = kGuest + (vtd ? kVtdPages + table * kPage + 3
                                 : kS390Pages + table * kPage / 2);
  switch (random.below(16)) {
    case 0:
      if (random.one_in(2)) entry = random.next();
      break;
    case 1 ... 2:
      entry = vtd ? 0 : 0x20;
      break;
    case 3 ... 7:
      entry = (some_gpa(random) & ~(frame - 1)) | (vtd ? 0x83 : 0x400);
      break;
  }
  if (vtd)
    store(kVtdMiddle + index * 8, htole64(entry));
  else
    store(kS390Segments + index * 8, htobe64(entry));
}

void write_root(Random& random, bool vtd) {
  const bool bad = random.one_in(12);
  if (vtd)
    store(kVtdRoot, htole64(bad ? random.next() : kGuest + kVtdMiddle + 3));
  else
    store(kS390Root,
          htobe64(bad ? random.next() : (kGuest + kS390Segments) | 0x7));
}

void write_tables(Random& random) {
  const bool vtd = random.one_in(2);
  for (uint64_t n = 1 + random.below(64); n; n--) write_page(random, vtd);
  if (random.one_in(2)) write_table(random, vtd);
  if (random.one_in(4)) write_root(random, vtd);
  count("write tables", true);
}

// A container that is a guest, if it finds one.
int some_guest(Random& random) {
  for (int tries = 0; tries < 6; tries++)
    if (const int fd = files.any(kContainer, random);
        fd >= 0 && ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_ZPCI_IOMMU) > 0 &&
        // Without an IOMMU it has both.
        (random.one_in(8) ||
         ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0))
      return fd;
  return -1;
}

void map_guest_memory(int container, Random& random) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<uintptr_t>(shared->guest);
  map.iova = kGuest;
  map.size = kGuestSize;
  call("map tables", container, VFIO_IOMMU_MAP_DMA, &map);
  // As much as a table or a frame leads to.
  constexpr uint64_t kPiece = 1 << 20;
  for (int i = 0; i < 3; i++) {
    const uint64_t at = random.below(kIovaSize / kPiece) * kPiece;
    map.vaddr = reinterpret_cast<uintptr_t>(arena.base() + at);
    map.iova = kIova + at;
    map.size = kPiece;
    call("map guest memory", container, VFIO_IOMMU_MAP_DMA, &map);
  }
}

void enroll(int container, uint32_t fh, Random& random) {
  int device = files.any(kDevice, random);
  for (int tries = 0; tries < 16 && files.tag(device).container != container;
       tries++)
    device = files.any(kDevice, random);
  const bool vtd = random.one_in(2);
  vfio_zpci_register request{};
  request.argsz = sizeof request;
  request.flags = random.one_in(8) ? VFIO_ZPCI_REGISTER_DIRECT : 0;
  request.fh = fh;
  request.group_fd = random.one_in(4) ? files.any(kGroup, random) : device;
  request.format = vtd ? VFIO_ZPCI_FORMAT_VTD : VFIO_ZPCI_FORMAT_S390;
  request.levels = vtd ? 3 : 0;
  // Translation, by a region-third table.
  request.anchor = kGuest + (vtd ? kVtdRoot : kS390Root | 0x800u | 1u << 2);
  request.pba = kIova;
  request.pal = kIova + kIovaSize - 1;
  call("REGISTER", container, VFIO_ZPCI_REGISTER, &request);
}

void deregister(int container, Random& random) {
  vfio_zpci_deregister request{};
  request.argsz = sizeof request;
  request.flags = random.one_in(2) ? VFIO_ZPCI_DEREGISTER_FORGET : 0;
  request.fh = static_cast<uint32_t>(random.below(kHandles));
  call("DEREGISTER", container, VFIO_ZPCI_DEREGISTER, &request);
}

void set_state(int container, uint32_t fh, uint32_t state) {
  vfio_zpci_state request{};
  request.argsz = sizeof request;
  request.fh = fh;
  request.state = state;
  call("SET_STATE", container, VFIO_ZPCI_SET_STATE, &request);
}

// As a guest that goes on after an error.
void recover(int container, uint32_t fh) {
  vfio_zpci_event event{};
  event.argsz = sizeof event;
  event.flags = VFIO_ZPCI_EVENT_CLEAR;
  event.fh = fh;
  call("GET_EVENT", container, VFIO_ZPCI_GET_EVENT, &event);
  set_state(container, fh, VFIO_ZPCI_STATE_ENABLED);
}

vfio_zpci_range some_range(Random& random) {
  const uint64_t start = pick_iova(random), page = start & ~(kPage - 1);
  switch (random.below(8)) {
    case 0:
      return {kIova, kIovaSize};
    case 1:
      return {start & ~uint64_t{0xfffff}, 1 << 20};
    case 2:
      return {page, random.next()};
    case 3 ... 5:
      return {page, kPage * (1 + random.below(16))};
    default:
      return {page, kPage};
  }
}

void refresh(int container, uint32_t fh, Random& random) {
  vfio_zpci_range ranges[3];
  for (auto& range : ranges) range = some_range(random);
  uint32_t cc = 0;
  if (random.one_in(4)) {
    vfio_zpci_refresh_ranges request{};
    request.argsz = sizeof request;
    request.fh = fh;
    request.count = static_cast<uint32_t>(1 + random.below(3));
    request.ranges = reinterpret_cast<uintptr_t>(ranges);
    const bool done = !ioctl(container, VFIO_ZPCI_REFRESH_RANGES, &request);
    cc = request.cc;
    count("REFRESH_RANGES", done && request.done);
  } else {
    vfio_zpci_refresh request{};
    request.argsz = sizeof request;
    request.fh = fh;
    request.start = ranges[0].start;
    request.length = ranges[0].length;
    const bool done = !ioctl(container, VFIO_ZPCI_REFRESH, &request);
    cc = request.cc;
    count("REFRESH", done && cc == VFIO_ZPCI_CC_OK);
  }
  if (cc == VFIO_ZPCI_CC_ERROR) recover(container, fh);
}

// Eventfds stay, as other threads and processes may be signaling them.
int bell(uint64_t n) {
  static const int fds[kBells] = {eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
                                  eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  return fds[n];
}

void doorbell(int container, uint32_t fh, Random& random) {
  const uint64_t n = random.below(kBells);
  vfio_zpci_doorbell request{};
  request.argsz = sizeof request;
  request.fh = fh;
  request.eventfd = random.one_in(4) ? -1 : bell(n);
  request.page = kGuest + kBellPages + n * kPage;
  call("SET_DOORBELL", container, VFIO_ZPCI_SET_DOORBELL, &request);
}

void ring(Random& random) {
  const uint64_t n = random.below(kBells), at = kBellPages + n * kPage;
  const uint64_t ranges =
      random.one_in(16) ? random.below(300) : 1 + random.below(2);
  for (uint64_t i = 0; i < 2; i++) {
    const vfio_zpci_range range = some_range(random);
    store(at + 16 + i * 16, htole64(range.start));
    store(at + 24 + i * 16, htole64(range.length));
  }
  const auto sequence = static_cast<uint32_t>(le64toh(word(at + 8)) + 1);
  store(at, htole64(sequence | ranges << VFIO_ZPCI_DOORBELL_COUNT_SHIFT));
  const uint64_t one = 1;
  count("ring", write(bell(n), &one, sizeof one) == sizeof one);
  // What is open here may be full of signals otherwise.
  uint64_t drained;
  [[maybe_unused]] const ssize_t size = read(bell(n), &drained, sizeof drained);
}

void statistics(int container, Random& random) {
  vfio_zpci_statistics request{};
  request.argsz = sizeof request;
  request.fh = static_cast<uint32_t>(random.below(kHandles));
  call("GET_STATISTICS", container, VFIO_ZPCI_GET_STATISTICS, &request);
}

}  // namespace

void nested(Random& random) {
  const int container = some_guest(random);
  if (container < 0) return write_tables(random);
  const auto fh = static_cast<uint32_t>(random.below(kHandles));
  switch (random.below(20)) {
    case 0:
      map_guest_memory(container, random);
      break;
    case 1 ... 2:
      // A guest that boots: few containers live long.
      map_guest_memory(container, random);
      enroll(container, fh, random);
      doorbell(container, fh, random);
      for (int i = 0; i < 6; i++) refresh(container, fh, random);
      break;
    case 3:
      if (random.one_in(2)) deregister(container, random);
      break;
    case 4:
      if (random.one_in(4))
        set_state(container, static_cast<uint32_t>(random.below(kHandles)),
                  static_cast<uint32_t>(random.below(5)));
      break;
    case 5:
      doorbell(container, fh, random);
      break;
    case 6 ... 8:
      ring(random);
      break;
    case 9:
      statistics(container, random);
      break;
    case 10 ... 12:
      write_tables(random);
      break;
    default:
      refresh(container, fh, random);
      break;
  }
}

}  // namespace soak
