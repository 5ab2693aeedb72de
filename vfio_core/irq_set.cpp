// SPDX-License-Identifier: GPL-2.0
//
// Checks of VFIO_DEVICE_SET_IRQS that are the same for all devices.
#include "entry.h"
#include "shim/uapi.h"
#include "vocab/uaccess.hpp"

namespace vfio {

// Returns the size of the request's data for one interrupt. Errors: EINVAL.
static Result<size_t> item_size(u32 flags)
{
	switch (flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		return size_t{0};
	case VFIO_IRQ_SET_DATA_BOOL:
		return sizeof(u8);
	case VFIO_IRQ_SET_DATA_EVENTFD:
		return sizeof(s32);
	default:
		return Error(EINVAL);
	}
}

static Result<void> check_irq_set(const vfio_irq_set &set, int nirqs, int nindexes,
				  size_t *data_size)
{
	constexpr size_t kMinSize = OFFSET_END(vfio_irq_set, count);
	constexpr u32 kKnown = VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK;
	constexpr u32 kU32Max = ~u32{0};
	const u64 end = u64{set.start} + set.count;

	if (set.argsz < kMinSize || set.flags & ~kKnown || nindexes < 0 ||
	    set.index >= static_cast<u32>(nindexes) || end >= kU32Max)
		return Error(EINVAL);
	if (data_size)
		*data_size = 0;
	if (nirqs < 0 || set.start >= static_cast<u32>(nirqs) || end > static_cast<u32>(nirqs))
		return Error(EINVAL);

	const size_t item = TRY(item_size(set.flags));
	const u64 size = u64{item} * set.count;

	if (item == 0)
		return {};
	if (set.argsz - kMinSize < size || !data_size)
		return Error(EINVAL);
	*data_size = size;
	return {};
}

CORE_ENTRY int vfio_core_check_irq_set(const vfio_irq_set *set, int nirqs, int nindexes,
				       size_t *data_size)
{
	return check_irq_set(*set, nirqs, nindexes, data_size).negative();
}

} // namespace vfio
