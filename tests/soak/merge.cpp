// SPDX-License-Identifier: GPL-2.0
//
// Groups that are merged and taken out, and used without a container's file.
#include <linux/vfio.h>
#include <sys/ioctl.h>

#include "files.hpp"
#include "operate.hpp"
#include "uapi/vfio_group_merge.h"

namespace soak {
namespace {

// The devices that are opened later are not told which container they are in.
void merge(int group, Random& random) {
  int other = files.any(kGroup, random);
  // Mostly one that is in no container, or has left it.
  if (!random.one_in(4)) ioctl(other, VFIO_GROUP_UNSET_CONTAINER);
  vfio_group_merge request{sizeof request, 0, other};
  call("MERGE", group, VFIO_GROUP_MERGE, &request);
}

void unmerge(int group, Random& random) {
  vfio_group_merge request{sizeof request, 0, files.any(kGroup, random)};
  if (random.one_in(2)) {
    int target = static_cast<int>(random.below(shared->ntargets));
    request.flags = VFIO_GROUP_UNMERGE_NUMBER;
    request.group = shared->targets[target].group;
  }
  call("UNMERGE", group, VFIO_GROUP_UNMERGE, &request);
}

void map_and_unmap(int group, Random& random) {
  Arena::Piece piece = arena.piece(random, random.one_in(2));
  vfio_iommu_type1_dma_map map{};
  map.argsz = sizeof map;
  map.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  map.vaddr = reinterpret_cast<uintptr_t>(piece.uva);
  map.iova = pick_iova(random);
  map.size = piece.size;
  if (!call("group MAP", group, VFIO_IOMMU_MAP_DMA, &map)) return;
  if (random.one_in(4)) return merge(group, random);
  vfio_iommu_type1_dma_unmap unmap{};
  unmap.argsz = sizeof unmap;
  unmap.iova = map.iova;
  unmap.size = map.size;
  call("group UNMAP", group, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

}  // namespace

void merging(Random& random) {
  int group = files.any(kGroup, random);
  if (group < 0) return;
  switch (random.below(8)) {
    case 0 ... 2:
      merge(group, random);
      break;
    case 3:
      unmerge(group, random);
      break;
    case 4:
      count("group SET_IOMMU",
            !ioctl(group, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
      break;
    default:
      map_and_unmap(group, random);
      break;
  }
}

}  // namespace soak
