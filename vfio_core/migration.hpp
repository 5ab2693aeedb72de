// SPDX-License-Identifier: GPL-2.0
//
// The states of a device that migrates, and how to get from one to another.
//
// Userspace may ask for any state; drivers implement single steps between
// some. A request for a state that is further away is broken up, one step a
// call. Which states there are depends on what the driver can do: those that
// it cannot are stepped over.
#pragma once

#include "vocab/result.hpp"

namespace vfio {

// The first step from a state towards another. flags: VFIO_MIGRATION_* of the
// driver. Errors: EINVAL if the driver has not that state, or there is no way.
Result<u32> migration_next(u32 flags, u32 from, u32 to);

} // namespace vfio
