// SPDX-License-Identifier: GPL-2.0
#pragma once

#include "vocab/result.hpp"

struct vfio_irq_set;

namespace vfio {

// Whether a request fits a device whose index has nirqs interrupts, and which
// has nindexes indexes. data_size: where to put how many bytes follow the
// header; may be null if none may. Errors: EINVAL.
Result<void> check_irq_set(const vfio_irq_set &set, int nirqs, int nindexes, size_t *data_size);

} // namespace vfio
