// SPDX-License-Identifier: GPL-2.0
//
// The ioctls by which groups are merged, one line each.
#pragma once

#include "harness.hpp"
#include "uapi/vfio_group_merge.h"

namespace stack {

inline constexpr long kInContainer =
    VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET;
inline constexpr long kMerged = kInContainer | VFIO_GROUP_FLAGS_MERGED;

inline long merge_call(unsigned long request, int group, int other,
                       uint32_t flags = 0) {
  vfio_group_merge arg{sizeof arg, flags, other};
  return call(group, request, &arg);
}
inline long merge(int group, int other) {
  return merge_call(VFIO_GROUP_MERGE, group, other);
}
inline long unmerge(int group, int other) {
  return merge_call(VFIO_GROUP_UNMERGE, group, other);
}
inline long unmerge_number(int group, int number) {
  return merge_call(VFIO_GROUP_UNMERGE, group, number,
                    VFIO_GROUP_UNMERGE_NUMBER);
}

}  // namespace stack
