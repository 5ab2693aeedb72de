// SPDX-License-Identifier: GPL-2.0
//
// A type of mediated devices: a struct of the driver's, and a directory below
// the parent's mdev_supported_types.
#pragma once

#include "vfio_mdev/shim/parent.h"
#include "vocab/memory.hpp"

namespace vfio {

// The name of the type's directory: the name of the parent's driver, a dash, and
// the type's own name. Errors: ENOMEM.
Result<UniquePtr<char>> type_directory(const mdev_parent *parent, const mdev_type *type);

} // namespace vfio
