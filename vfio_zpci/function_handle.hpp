// SPDX-License-Identifier: GPL-2.0
//
// FunctionHandle: how a guest names a function.
#pragma once

#include "vocab/range_tree.hpp"

namespace vfio {

using FunctionHandle = Address<struct FunctionHandleTag>;

} // namespace vfio
