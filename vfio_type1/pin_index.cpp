// SPDX-License-Identifier: GPL-2.0
//
// The pin index, in this module too: it must not need mdev.ko.
// NOLINTBEGIN(bugprone-suspicious-include)
#include "../vfio_mdev/pin_index.cpp"
#include "../vfio_mdev/pin_blocks.cpp"
#include "../vfio_mdev/pin_forms.cpp"
#include "../vfio_mdev/pin_insert.cpp"
#include "../vfio_mdev/pin_slot_map.cpp"
#include "../vfio_mdev/pin_unpin.cpp"
// NOLINTEND(bugprone-suspicious-include)
