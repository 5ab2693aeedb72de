// SPDX-License-Identifier: GPL-2.0
//
// A type of mediated devices: the driver's struct, and its directory below the
// parent's mdev_supported_types. What the core decides about it.
#pragma once

#include "vfio_mdev/shim/parent.h"
#include "vfio_mdev/shim/type.h"
#include "vocab/memory.hpp"

namespace vfio {

// The name of its directory: that of the parent's driver, a dash, its own.
// Errors: ENOMEM.
Result<UniquePtr<char>> type_directory(const mdev_parent *parent, const mdev_type *type);

// What its file `name` says.
const char *type_title(const mdev_type *type);

} // namespace vfio
