// SPDX-License-Identifier: GPL-2.0
//
// The core's side of core.h: ioctls are told apart here, their structures
// copied in, their sizes and flags checked. type1_pin_pages() and its opposite
// are beside what they call.
#include "core.h"
#include "type1.hpp"

namespace vfio {

namespace {

Type1 &core(type1 *handle)
{
	return *static_cast<Type1 *>(handle);
}

[[gnu::noinline]] long check_extension(Type1 *type1, u64 extension)
{
	switch (extension) {
	case VFIO_TYPE1_IOMMU:
	case VFIO_TYPE1v2_IOMMU:
	case VFIO_UNMAP_ALL:
		return 1;
	case VFIO_TYPE1_NESTING_IOMMU:
		// Without a container the driver only says that it knows the
		// type; vfio.ko then tries it with the container's groups.
		return !type1 || type1->can_nest();
	case VFIO_UPDATE_VADDR:
		return type1 && type1->can_update_vaddr();
	case VFIO_DMA_CC_IOMMU:
		return type1 && type1->coherent();
	default:
		return 0;
	}
}

// Each ioctl's own, and no larger a frame for another's sake.
[[gnu::noinline]] Result<void> map_dma(Type1 &type1, UserVa arg)
{
	constexpr u32 kFlags =
		VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE | VFIO_DMA_MAP_FLAG_VADDR;
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dma_map, size);
	vfio_iommu_type1_dma_map map;

	TRY(copy_struct_in<kSize>(&map, arg));
	if (map.argsz < kSize || (map.flags & ~kFlags))
		return Error(EINVAL);
	return type1.map_dma(map);
}

// Whether a bitmap that a caller hands over can be one at all.
Result<void> check_bitmap(const vfio_bitmap &bitmap, u64 size)
{
	if (!shim_access_ok(reinterpret_cast<u64>(bitmap.data), bitmap.size) || !bitmap.pgsize)
		return Error(EINVAL);
	return Type1::check_bitmap(size >> smallest_shift(bitmap.pgsize), bitmap.size);
}

[[gnu::noinline]] Result<void> unmap_with_bitmap(Type1 &type1, UserVa arg,
						 vfio_iommu_type1_dma_unmap &unmap)
{
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dma_unmap, size);
	vfio_bitmap bitmap;

	if (unmap.flags != VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP ||
	    unmap.argsz < kSize + sizeof(bitmap))
		return Error(EINVAL);
	TRY(copy_struct_in<sizeof(bitmap)>(&bitmap, arg + kSize));
	TRY(check_bitmap(bitmap, unmap.size));
	unmap.size = TRY(type1.unmap_dma(unmap, &bitmap));
	return {};
}

[[gnu::noinline]] Result<void> unmap_dma(Type1 &type1, UserVa arg)
{
	constexpr u32 kFlags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP | VFIO_DMA_UNMAP_FLAG_VADDR |
			       VFIO_DMA_UNMAP_FLAG_ALL;
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dma_unmap, size);
	vfio_iommu_type1_dma_unmap unmap;

	TRY(copy_struct_in<kSize>(&unmap, arg));
	if (unmap.argsz < kSize || (unmap.flags & ~kFlags))
		return Error(EINVAL);

	if (unmap.flags & VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP)
		TRY(unmap_with_bitmap(type1, arg, unmap));
	else
		unmap.size = TRY(type1.unmap_dma(unmap, nullptr));
	return copy_struct_out<sizeof(unmap.size)>(
		arg + __builtin_offsetof(vfio_iommu_type1_dma_unmap, size), &unmap.size);
}

[[gnu::noinline]] Result<void> dirty_pages(Type1 &type1, UserVa arg)
{
	constexpr size_t kSize = OFFSET_END(vfio_iommu_type1_dirty_bitmap, flags);
	alignas(u64) vfio_iommu_type1_dirty_bitmap dirty;
	vfio_iommu_type1_dirty_bitmap_get request;

	if (!type1.v2())
		return Error(EACCES);
	TRY(copy_struct_in<kSize>(&dirty, arg));
	if (dirty.argsz < kSize)
		return Error(EINVAL);

	switch (dirty.flags) {
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_START:
		return type1.start_dirty();
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP:
		type1.stop_dirty();
		return {};
	case VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP:
		if (dirty.argsz - kSize < sizeof(request))
			return Error(EINVAL);
		TRY(copy_struct_in<sizeof(request)>(&request, arg + kSize));
		TRY(check_bitmap(request.bitmap, request.size));
		return type1.get_dirty(request);
	default:
		return Error(EINVAL);
	}
}

} // namespace

} // namespace vfio

using namespace vfio;

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
	destroy(&core(handle));
}

CORE_ENTRY long type1_ioctl(type1 *handle, u32 cmd, u64 arg)
{
	if (cmd == VFIO_CHECK_EXTENSION)
		return check_extension(handle ? &core(handle) : nullptr, arg);

	switch (cmd) {
	case VFIO_IOMMU_GET_INFO:
		return core(handle).get_info({arg}).negative();
	case VFIO_IOMMU_MAP_DMA:
		return map_dma(core(handle), {arg}).negative();
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap_dma(core(handle), {arg}).negative();
	case VFIO_IOMMU_DIRTY_PAGES:
		return dirty_pages(core(handle), {arg}).negative();
	default:
		return -ENOTTY;
	}
}

CORE_ENTRY int type1_attach_group(type1 *handle, iommu_group *group, bool emulated)
{
	return core(handle).attach_group(group, emulated).negative();
}

CORE_ENTRY void type1_detach_group(type1 *handle, iommu_group *group)
{
	core(handle).detach_group(group);
}

CORE_ENTRY void type1_register_device(type1 *handle, vfio_device *device)
{
	core(handle).register_device(device);
}

CORE_ENTRY void type1_unregister_device(type1 *handle, vfio_device *device)
{
	core(handle).unregister_device(device);
}

CORE_ENTRY int type1_dma_rw(type1 *handle, u64 iova, void *data, size_t size, bool write)
{
	return core(handle).dma_rw({iova}, static_cast<u8 *>(data), size, write).negative();
}

CORE_ENTRY int type1_group_domain(type1 *handle, iommu_group *group, iommu_domain **domain)
{
	Result<iommu_domain *> result = core(handle).domain_of(group);

	if (!result.ok())
		return result.error().negative();
	*domain = result.value();
	return 0;
}
