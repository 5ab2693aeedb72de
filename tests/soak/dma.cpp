// SPDX-License-Identifier: GPL-2.0
//
// Mapping, unmapping, dirty pages.
#include <linux/vfio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "files.hpp"
#include "operate.hpp"
#include "recent.hpp"

namespace soak {

uint64_t pick_iova(Random& random) {
  uint64_t iova = kIova + random.below(kIovaSize / kPage) * kPage;
  if (random.one_in(8)) return iova & ~((2ull << 20) - 1);
  return random.one_in(2) ? iova & ~0xffffull : iova;
}

namespace {

// Beyond what some IOMMU reaches, in what is reserved, at the very end.
uint64_t far_iova(Random& random) {
  static constexpr uint64_t kEnds[] = {0,          1ull << 16, 1ull << 30,
                                       0xfee00000, 1ull << 32, 1ull << 39,
                                       1ull << 48, 0};
  return kEnds[random.below(std::size(kEnds))] - kPage * random.below(4);
}

bool map_dma(const char* op, int container, Arena::Piece piece, uint64_t iova,
             uint32_t flags) {
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = flags;
  map.vaddr = reinterpret_cast<uintptr_t>(piece.uva);
  map.iova = iova;
  map.size = piece.size;
  bool done = call(op, container, VFIO_IOMMU_MAP_DMA, &map);
  if (done) mappings.add({container, iova, map.size, map.vaddr});
  return done;
}

bool unmap_dma(const char* op, int container, uint64_t iova, uint64_t size,
               uint32_t flags) {
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.flags = flags;
  unmap.iova = iova;
  unmap.size = size;
  bool done = ioctl(container, VFIO_IOMMU_UNMAP_DMA, &unmap) == 0;
  // Nothing there is no error, but nothing done either.
  count(op, done && unmap.size);
  return done && unmap.size;
}

uint64_t bitmap_bytes(uint64_t size) { return (size / kPage + 63) / 64 * 8; }

bool unmap_bitmap(int container, uint64_t iova, uint64_t size) {
  static constexpr size_t kHead = sizeof(vfio_iommu_type1_dma_unmap);
  uint64_t bits[64];
  alignas(8) uint8_t buffer[kHead + sizeof(vfio_bitmap)] = {};
  auto* unmap = reinterpret_cast<vfio_iommu_type1_dma_unmap*>(buffer);
  unmap->argsz = sizeof buffer;
  unmap->flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  unmap->iova = iova;
  unmap->size = size;
  vfio_bitmap bitmap{};
  bitmap.pgsize = kPage;
  bitmap.size = bitmap_bytes(size);
  bitmap.data = reinterpret_cast<__u64*>(bits);
  if (bitmap.size > sizeof bits) return false;
  memcpy(buffer + kHead, &bitmap, sizeof bitmap);
  return call("unmap dirty bitmap", container, VFIO_IOMMU_UNMAP_DMA, buffer);
}

}  // namespace

void map(Random& random) {
  int container = files.any(kContainer, random);
  if (container < 0) return;
  constexpr uint32_t kRead = VFIO_DMA_MAP_FLAG_READ,
                     kWrite = VFIO_DMA_MAP_FLAG_WRITE;
  bool memfd = random.one_in(2);
  Arena::Piece piece = arena.piece(random, memfd);
  uint64_t iova = pick_iova(random);
  switch (random.below(12)) {
    case 0:
      map_dma("map read-only", container, piece, iova, kRead);
      break;
    case 1:
      if (random.one_in(3)) piece.uva += 512;
      if (random.one_in(3)) piece.size += 512;
      if (random.one_in(6)) piece.size = 0;
      if (random.one_in(3)) iova += 2048;
      map_dma("map odd", container, piece, iova,
              static_cast<uint32_t>(random.below(5)));
      break;
    case 2:
      map_dma("map far", container, piece, far_iova(random), kRead | kWrite);
      break;
    case 3:
      map_dma("map vaddr", container, piece, iova, VFIO_DMA_MAP_FLAG_VADDR);
      break;
    default:
      map_dma(memfd ? "map memfd" : "map private", container, piece, iova,
              kRead | kWrite);
      break;
  }
}

namespace {

// What userspace does to move memory: takes the address away, gives another.
void update_vaddr(int container, const Recent::Entry& e, Random& random) {
  if (!unmap_dma("unmap vaddr", container, e.iova, e.size,
                 VFIO_DMA_UNMAP_FLAG_VADDR) ||
      random.one_in(4))
    return;
  auto* uva = reinterpret_cast<uint8_t*>(e.uva);
  map_dma("map vaddr", container, {uva, e.size}, e.iova,
          VFIO_DMA_MAP_FLAG_VADDR);
}

void unmap_all_vaddr(int container, Random& random) {
  if (!unmap_dma("unmap vaddr all", container, 0, 0,
                 VFIO_DMA_UNMAP_FLAG_ALL | VFIO_DMA_UNMAP_FLAG_VADDR))
    return;
  // Some get their addresses back, the rest stays without.
  for (int i = 0; i < 8; i++)
    if (Recent::Entry e = mappings.pick(container, random); e.size)
      map_dma("map vaddr", container,
              {reinterpret_cast<uint8_t*>(e.uva), e.size}, e.iova,
              VFIO_DMA_MAP_FLAG_VADDR);
}

void unmap_odd(int container, uint64_t iova, uint64_t size, Random& random) {
  uint32_t flags =
      random.one_in(3) ? static_cast<uint32_t>(random.below(8)) : 0;
  switch (random.below(4)) {
    case 0:  // in parts of pages
      iova += random.below(2) * 2048;
      size += 512;
      break;
    case 1:  // beyond the last address
      size = ~0ull - random.below(2) * (kPage - 1);
      break;
    case 2:
      iova = 0;
      size = 1ull << 63;
      break;
    case 3:  // all but the last page
      iova = 0;
      size = 0ull - kPage;
      break;
  }
  unmap_dma("unmap odd", container, iova, size, flags);
}

}  // namespace

void unmap(Random& random) {
  int container = files.any(kContainer, random);
  if (container < 0) return;
  // What is mapped, most often.
  Recent::Entry e = mappings.pick(container, random);
  if (!e.size || random.one_in(5))
    e = {container, pick_iova(random), pick_size(random), 0};
  switch (random.below(20)) {
    case 0:
      if (random.one_in(2))
        unmap_dma("unmap all", container, 0, 0, VFIO_DMA_UNMAP_FLAG_ALL);
      break;
    case 1:
      unmap_odd(container, e.iova, e.size, random);
      break;
    case 2:
    case 3:
      if (random.one_in(6))
        unmap_all_vaddr(container, random);
      else
        update_vaddr(container, e, random);
      break;
    case 4:
    case 5:
      if (unmap_bitmap(container, e.iova, e.size)) mappings.forget(e);
      break;
    case 6:
      unmap_dma("unmap range", container, far_iova(random), kPage * 4, 0);
      break;
    case 7:
    case 8:
      unmap_dma("unmap range", container, e.iova & ~((1ull << 20) - 1), 1 << 20,
                0);
      break;
    default:
      // If it failed, it was there no more.
      unmap_dma("unmap exact", container, e.iova, e.size, 0);
      mappings.forget(e);
      break;
  }
}

void dirty(Random& random) {
  int container = files.any(kContainer, random);
  if (container < 0) return;
  alignas(8) uint8_t buffer[sizeof(vfio_iommu_type1_dirty_bitmap) +
                            sizeof(vfio_iommu_type1_dirty_bitmap_get)] = {};
  auto* head = reinterpret_cast<vfio_iommu_type1_dirty_bitmap*>(buffer);
  head->argsz = sizeof buffer;
  switch (random.below(4)) {
    case 0:
      head->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_START;
      call("dirty start", container, VFIO_IOMMU_DIRTY_PAGES, head);
      break;
    case 1:
      if (!random.one_in(3)) return;
      head->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP;
      call("dirty stop", container, VFIO_IOMMU_DIRTY_PAGES, head);
      break;
    default: {
      uint64_t bits[128 * 2];
      vfio_iommu_type1_dirty_bitmap_get get{};
      // One mapping, all, or a piece that may cut mappings.
      if (Recent::Entry e = mappings.pick(container, random);
          e.size && random.one_in(2)) {
        get.iova = e.iova;
        get.size = e.size;
      } else {
        get.iova = random.one_in(3) ? pick_iova(random) : kIova;
        get.size = random.one_in(3) ? pick_size(random) : kIovaSize + (4 << 20);
      }
      get.bitmap.pgsize = kPage;
      get.bitmap.size = bitmap_bytes(get.size);
      get.bitmap.data = reinterpret_cast<__u64*>(bits);
      static_assert(sizeof bits >= (kIovaSize + (4 << 20)) / kPage / 8);
      head->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
      memcpy(head->data, &get, sizeof get);
      call("dirty bitmap", container, VFIO_IOMMU_DIRTY_PAGES, head);
    }
  }
}

}  // namespace soak
