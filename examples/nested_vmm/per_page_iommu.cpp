// SPDX-License-Identifier: GPL-2.0
//
// The way that VMMs go today, to compare with: they walk the guest's table, keep a copy of
// what it said, and map and unmap the differences.
#include <endian.h>

#include <algorithm>
#include <utility>

#include "iommu.hpp"
#include "uapi/vfio_zpci.h"

using protocol::kPage;

PerPageIommu::PerPageIommu(int container, const Machine& machine)
    : container_(container), machine_(machine) {}

void PerPageIommu::register_table(const protocol::Boot& format,
                                  const protocol::Registration& registration) {
  format_ = format;
  registration_ = registration;
}

unsigned PerPageIommu::shift(unsigned level) const {
  if (format_.format == protocol::Format::kVtd) return 12 + 9 * level;
  return level == 0 ? 12 : 20 + 11 * (level - 1);
}

PerPageIommu::Found PerPageIommu::walk(std::uint64_t iova) const {
  const bool vtd = format_.format == protocol::Format::kVtd;
  std::uint64_t table = registration_.anchor & ~(kPage - 1);
  bool writable = true;

  for (unsigned level = format_.levels - 1;; level--) {
    const std::uint64_t last = iova | ((1ull << shift(level)) - 1);
    const std::uint64_t entries = vtd ? 512 : level ? 2048 : 256;
    const std::uint64_t place = table + (iova >> shift(level)) % entries * sizeof(std::uint64_t);
    if (place > machine_.memory_size() - sizeof(std::uint64_t))
      return {last, {}, VFIO_ZPCI_EVENT_ENTRY};
    // Once, as the guest may change it meanwhile.
    const std::uint64_t raw = __atomic_load_n(&machine_.at<std::uint64_t>(place), __ATOMIC_ACQUIRE);
    const std::uint64_t entry = vtd ? le64toh(raw) : be64toh(raw);

    if (vtd ? !(entry & 0x3) : entry & (level ? 0x20 : 0x400)) return {last, {}, 0};
    if (!vtd && entry == 0) return {last, {}, VFIO_ZPCI_EVENT_ENTRY};
    writable = writable && (vtd ? entry & 0x2 : !(entry & 0x200));
    if (level == 0 || entry & (vtd ? 0x80 : level == 1 ? 0x400 : 0)) {
      const std::uint64_t size = 1ull << shift(level);
      const std::uint64_t address = (entry & ~(size - 1) & ~(0xfffull << 52)) + (iova & (size - 1));
      if (address > machine_.memory_size() - kPage) return {last, {}, VFIO_ZPCI_EVENT_ENTRY};
      return {last, Page{address & ~(kPage - 1), writable}, 0};
    }
    table = entry & ~(vtd ? 0xfffull : level == 1 ? 0x7ffull : 0x3fffull);
  }
}

void PerPageIommu::map(std::uint64_t iova, const Page& page) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof(map);
  map.flags = VFIO_DMA_MAP_FLAG_READ | (page.writable ? VFIO_DMA_MAP_FLAG_WRITE : 0);
  map.vaddr = reinterpret_cast<std::uintptr_t>(machine_.memory() + page.address);
  map.iova = iova;
  map.size = kPage;
  check(meter_.call(container_, VFIO_IOMMU_MAP_DMA, map), "mapping a page");
  mapped_.emplace(iova, page);
}

void PerPageIommu::unmap(std::uint64_t iova) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof(unmap);
  unmap.iova = iova;
  unmap.size = kPage;
  check(meter_.call(container_, VFIO_IOMMU_UNMAP_DMA, unmap), "unmapping a page");
  mapped_.erase(iova);
}

void PerPageIommu::unmap_all(std::uint64_t first, std::uint64_t last) {
  for (auto at = mapped_.lower_bound(first); at != mapped_.end() && at->first <= last;)
    unmap((at++)->first);
}

Iommu::Outcome PerPageIommu::refresh(std::uint64_t start, std::uint64_t length) {
  meter_.reset();
  if (event_.code) return {VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_IN_ERROR};
  if (length == 0) return {VFIO_ZPCI_CC_OK, 0};
  if (start < registration_.pba || start > registration_.pal ||
      length - 1 > registration_.pal - start) {
    event_ = {start, VFIO_ZPCI_EVENT_OUT_OF_RANGE};
    return {VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR};
  }
  const std::uint64_t end = start + length;
  for (std::uint64_t iova = start & ~(kPage - 1); iova < end;) {
    Found found = walk(iova);
    if (found.event) {
      event_ = {iova, found.event};
      return {VFIO_ZPCI_CC_ERROR, VFIO_ZPCI_STATUS_ERROR};
    }
    if (!found.page) {
      unmap_all(iova, std::min(found.last, end - 1));
      iova = found.last + 1;
      continue;
    }
    for (; iova < end && iova <= found.last; iova += kPage, found.page->address += kPage) {
      const auto known = mapped_.find(iova);
      if (known != mapped_.end() && known->second == *found.page) continue;
      if (known != mapped_.end()) unmap(iova);
      map(iova, *found.page);
    }
  }
  return {VFIO_ZPCI_CC_OK, 0};
}

protocol::Event PerPageIommu::recover() { return std::exchange(event_, {}); }
