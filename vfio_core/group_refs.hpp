// SPDX-License-Identifier: GPL-2.0
//
// What the core holds of its own groups and devices. Each type here is an Owned: its
// destructor drops what it holds, and it may be empty.
#pragma once

#include "vocab/memory.hpp"

namespace vfio {

class Device;
class Group;

// A use of a registered device. Unregistering the device waits until all uses are
// dropped.
void drop_device_use(Device *device);
using DeviceRef = Owned<Device *, drop_device_use>;

// A use of a group by a device's file. The group keeps its container as long as this is
// held, even if its own file is closed, and its own file cannot be opened meanwhile.
void drop_group_use(Group *group);
using GroupUse = Owned<Group *, drop_group_use>;

// A reference to a group's node, which owns the group.
void put_group(Group *group);
using GroupRef = Owned<Group *, put_group>;

} // namespace vfio
