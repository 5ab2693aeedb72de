// SPDX-License-Identifier: GPL-2.0
//
// The life of a container's IOMMU, its ioctls, and what CHECK_EXTENSION says of
// it.
#include "type1.hpp"

#include "entry.h"

namespace vfio {

constinit LockClass Type1::groups_lock_class_ = {"vfio_type1_groups", {}};
constinit LockClass Type1::devices_lock_class_ = {"vfio_type1_devices", {}};

Result<UniquePtr<Type1>> Type1::create(u64 extension)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
		return make<Type1>(false, false);
	case VFIO_TYPE1v2_IOMMU:
		return make<Type1>(true, false);
	case VFIO_TYPE1_NESTING_IOMMU:
		return make<Type1>(true, true);
	default:
		return Error(EINVAL);
	}
}

Type1::Type1(bool v2, bool nesting)
	: dmas_(type1_param_dma_entry_limit()), v2_(v2), nesting_(nesting)
{
	shim_device_list_init(&devices_);
}

Type1::~Type1()
{
	frames_.end();

	const WriteGuard groups(groups_lock_);

	while (AttachedGroup *attached = emulated_groups_.pop_front())
		destroy(attached);
	unmap_everything();
}

bool Type1::check_extension(u64 extension)
{
	const ReadGuard groups(groups_lock_);

	switch (extension) {
	case VFIO_TYPE1_NESTING_IOMMU:
		return domains_.can_nest();
	case VFIO_UPDATE_VADDR:
		return emulated_groups_.empty();
	case VFIO_DMA_CC_IOMMU:
		return domains_.coherent();
	default:
		return false;
	}
}

long Type1::ioctl(u32 cmd, UserVa arg)
{
	switch (cmd) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(arg).negative();
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(arg).negative();
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(arg).negative();
	case VFIO_IOMMU_DIRTY_PAGES:
		return dirty_pages(arg).negative();
	default:
		return -ENOTTY;
	}
}

} // namespace vfio

using namespace vfio;

// Errors: ENOMEM.
CORE_ENTRY int type1_init(void)
{
	return shim_slab_create(&DmaRange::slab, "vfio_type1_mapping") ? 0 : -ENOMEM;
}

// Called when no container uses the module any more.
CORE_ENTRY void type1_exit(void)
{
	shim_slab_remove(&DmaRange::slab);
}

CORE_ENTRY int type1_open(u64 extension, type1 **made)
{
	Result<UniquePtr<Type1>> result = Type1::create(extension);

	if (!result.ok())
		return result.error().negative();
	*made = result.take().release();
	return 0;
}

CORE_ENTRY void type1_release(type1 *handle)
{
	destroy(&Type1::of(handle));
}

CORE_ENTRY long type1_ioctl(type1 *handle, u32 cmd, u64 arg)
{
	if (cmd != VFIO_CHECK_EXTENSION)
		return Type1::of(handle).ioctl(cmd, {arg});

	// handle is null before SET_IOMMU.
	switch (arg) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_TYPE1_NESTING_IOMMU:
		// Without a container the answer is only that this driver knows
		// the type; vfio.ko then tries it with the container's groups.
		return !handle || Type1::of(handle).check_extension(arg);
	default:
		return handle && Type1::of(handle).check_extension(arg);
	}
}
