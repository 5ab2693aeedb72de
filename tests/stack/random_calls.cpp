// SPDX-License-Identifier: GPL-2.0
#include "random_calls.hpp"

#include <stdlib.h>
#include <string.h>

#include <numeric>
#include <string>

namespace stack {

RandomOptions random_options;

void read_random_options(int argc, char** argv) {
  const auto value = [](const char* argument, std::string_view name,
                        std::optional<uint64_t>& out) {
    if (std::string_view(argument).substr(0, name.size()) == name)
      out = strtoull(argument + name.size(), nullptr, 0);
  };
  for (int i = 1; i < argc; i++) {
    value(argv[i], "--random-seed=", random_options.seed);
    value(argv[i], "--random-seeds=", random_options.seeds);
    value(argv[i], "--random-steps=", random_options.steps);
  }
}

std::vector<uint64_t> random_seeds(uint64_t count) {
  if (random_options.seed) count = 1;
  count = random_options.seeds.value_or(count);
  std::vector<uint64_t> seeds(count);
  std::iota(seeds.begin(), seeds.end(), random_options.seed.value_or(1));
  return seeds;
}

GuardedBitmap::GuardedBitmap(uint64_t npages, Random* random)
    : npages_(npages), memory_(words() + 2 * kGuard) {
  for (size_t i = 0; i < memory_.size(); i++) memory_[i] = guard(i);
  for (size_t i = 0; i < words(); i++)
    data()[i] = random ? random->below(~uint64_t{0}) : 0;
}

bool GuardedBitmap::guards_intact() const {
  for (size_t i = 0; i < memory_.size(); i++) {
    const bool inside = i >= kGuard && i < kGuard + words();
    if (!inside && memory_[i] != guard(i)) return false;
  }
  return true;
}

bool GuardedBitmap::set_behind_end() const {
  return npages_ % 64 && data()[words() - 1] >> npages_ % 64;
}

namespace {

vfio_bitmap describe(GuardedBitmap& bitmap, uint64_t pgsize,
                     std::optional<uint64_t> bytes) {
  vfio_bitmap out{};
  out.pgsize = pgsize;
  out.size = bytes.value_or(bitmap.bytes());
  out.data = reinterpret_cast<__u64*>(bitmap.data());
  return out;
}

}  // namespace

long get_bitmap(int container, uint64_t iova, GuardedBitmap& bitmap,
                uint64_t pgsize, std::optional<uint64_t> bytes) {
  alignas(8) uint8_t request[sizeof(vfio_iommu_type1_dirty_bitmap) +
                             sizeof(vfio_iommu_type1_dirty_bitmap_get)] = {};
  auto* head = reinterpret_cast<vfio_iommu_type1_dirty_bitmap*>(request);
  head->argsz = sizeof request;
  head->flags = VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP;
  vfio_iommu_type1_dirty_bitmap_get get{};
  get.iova = iova;
  get.size = bitmap.npages() * kPage;
  get.bitmap = describe(bitmap, pgsize, bytes);
  memcpy(request + sizeof *head, &get, sizeof get);
  return call(container, VFIO_IOMMU_DIRTY_PAGES, request);
}

Unmapped unmap_bitmap(int container, uint64_t iova, GuardedBitmap& bitmap,
                      uint64_t pgsize) {
  alignas(8) uint8_t
      request[sizeof(vfio_iommu_type1_dma_unmap) + sizeof(vfio_bitmap)] = {};
  auto* head = reinterpret_cast<vfio_iommu_type1_dma_unmap*>(request);
  head->argsz = sizeof request;
  head->flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
  head->iova = iova;
  head->size = bitmap.npages() * kPage;
  const vfio_bitmap described = describe(bitmap, pgsize, std::nullopt);
  memcpy(request + sizeof *head, &described, sizeof described);
  const long result = call(container, VFIO_IOMMU_UNMAP_DMA, request);
  return {result, head->size};
}

}  // namespace stack
