// SPDX-License-Identifier: GPL-2.0
//
// The way in from C: handles become objects, results become integers.
#include "entry.h"

#include "core.hpp"
#include "device.hpp"
#include "iova_bitmap.hpp"
#include "irq_set.hpp"
#include "migration.hpp"
#include "noiommu.hpp"
#include "shim/uapi.h"

using namespace vfio;

// Not an object with a constructor, which nobody would call.
static constinit Core *the_core;

Core &vfio::core()
{
	return *the_core;
}

CORE_ENTRY int vfio_core_init(const vfio_iommu_driver_ops *noiommu)
{
	Result<UniquePtr<Core>> made = make<Core>();

	if (!made.ok())
		return made.error().negative();

	UniquePtr<Core> core = made.take();
	const Result<void> added = core->iommu_drivers.add(noiommu, true);

	if (added.ok())
		the_core = core.release();
	return added.negative();
}

CORE_ENTRY void vfio_core_exit(void)
{
	destroy(exchange(the_core, nullptr));
}

/* Containers. */

static Container &container_of(vfio_container *handle)
{
	return *static_cast<Container *>(handle);
}

CORE_ENTRY int vfio_core_container_open(vfio_container **container)
{
	Result<UniquePtr<Container>> made = make<Container>();

	if (!made.ok())
		return made.error().negative();
	*container = made.take().release();
	return 0;
}

CORE_ENTRY void vfio_core_container_close(vfio_container *handle)
{
	const RefPtr<Container> container = RefPtr<Container>::adopt(&container_of(handle));

	container->close();
}

CORE_ENTRY long vfio_core_container_ioctl(vfio_container *container, u32 cmd, u64 arg)
{
	return container_of(container).ioctl(cmd, arg);
}

/* Groups. */

CORE_ENTRY int vfio_core_group_open(vfio_group *group, file *file)
{
	return Group::of(group).open(file).negative();
}

CORE_ENTRY void vfio_core_group_close(vfio_group *group)
{
	Group::of(group).close();
}

CORE_ENTRY long vfio_core_group_ioctl(vfio_group *group, u32 cmd, u64 arg)
{
	return Group::of(group).ioctl(cmd, {arg}).negative_or_value();
}

CORE_ENTRY void vfio_core_group_destroy(vfio_group *group)
{
	destroy(&Group::of(group));
}

/* Files of devices. */

CORE_ENTRY void vfio_core_device_close(vfio_core_device *device)
{
	Device::of(device).close_file();
}

CORE_ENTRY long vfio_core_device_read(vfio_core_device *device, u64 to, size_t size, s64 *position)
{
	return Device::of(device).read({to}, size, position).negative_or_value();
}

CORE_ENTRY long vfio_core_device_write(vfio_core_device *device, u64 from, size_t size,
				       s64 *position)
{
	return Device::of(device).write({from}, size, position).negative_or_value();
}

CORE_ENTRY long vfio_core_device_ioctl(vfio_core_device *device, u32 cmd, u64 arg)
{
	return Device::of(device).ioctl(cmd, arg).negative_or_value();
}

CORE_ENTRY int vfio_core_device_mmap(vfio_core_device *device, vm_area_struct *vma)
{
	return Device::of(device).mmap(vma).negative();
}

/* IOMMU drivers. */

CORE_ENTRY int vfio_core_noiommu_open(u64 extension)
{
	return noiommu_open(extension).negative();
}

CORE_ENTRY long vfio_core_noiommu_ioctl(u32 cmd, u64 arg)
{
	return noiommu_ioctl(cmd, arg).negative_or_value();
}

CORE_ENTRY int vfio_core_register_iommu_driver(const vfio_iommu_driver_ops *ops)
{
	return core().iommu_drivers.add(ops).negative();
}

CORE_ENTRY void vfio_core_unregister_iommu_driver(const vfio_iommu_driver_ops *ops)
{
	core().iommu_drivers.remove(ops);
}

/* Drivers of devices. */

CORE_ENTRY int vfio_core_device_alloc(size_t size, device *dev, const vfio_device_ops *ops,
				      vfio_device **device)
{
	if (WARN_ONCE_IF(size < shim_device_min_size(), "device allocated too small"))
		return -EINVAL;

	vfio_device *made = shim_device_alloc(size);

	if (!made)
		return -ENOMEM;

	const Result<void> ready = Device::init(made, dev, ops);

	if (ready.ok())
		*device = made;
	else
		shim_device_free(made);
	return ready.negative();
}

CORE_ENTRY int vfio_core_device_init(vfio_device *device, struct device *dev,
				     const vfio_device_ops *ops)
{
	return Device::init(device, dev, ops).negative();
}

CORE_ENTRY void vfio_core_device_release(vfio_core_device *device)
{
	Device::of(device).release();
}

static Result<void> register_device(vfio_core_device *handle, bool emulated)
{
	Device &device = Device::of(handle);
	GroupList &groups = core().groups;
	GroupMembership membership =
		TRY(emulated ? groups.join_emulated(device.dev()) : groups.join(device.dev()));

	return device.register_in(move(membership));
}

CORE_ENTRY int vfio_core_device_register(vfio_core_device *device)
{
	return register_device(device, false).negative();
}

CORE_ENTRY int vfio_core_device_register_emulated(vfio_core_device *device)
{
	return register_device(device, true).negative();
}

CORE_ENTRY void vfio_core_device_unregister(vfio_core_device *device)
{
	Device::of(device).unregister();
}

CORE_ENTRY int vfio_core_device_assign_set(vfio_core_device *device, u64 id)
{
	return Device::of(device).assign_set({id}).negative();
}

CORE_ENTRY u32 vfio_core_device_set_open_count(vfio_core_device_set *handle)
{
	DeviceSet &set = DeviceSet::of(handle);

	set.lock().assert_locked();
	return set.open_count();
}

CORE_ENTRY int vfio_core_migration_next(vfio_core_device *device, u32 from, u32 to, u32 *next)
{
	const u32 flags = shim_device_migration_flags(Device::of(device).handle());
	Result<u32> step = migration_next(flags, from, to);

	if (!step.ok())
		return step.error().negative();
	*next = step.value();
	return 0;
}

CORE_ENTRY int vfio_core_device_pin(vfio_core_device *device, u64 iova, int npages, int prot,
				    page **pages)
{
	const Device &self = Device::of(device);

	if (!self.can_pin(npages, pages)) [[unlikely]]
		return self.pin_error(npages, pages).negative();
	return shim_iommu_driver_pin(&self.pin_target(), iova, npages, prot, pages);
}

CORE_ENTRY void vfio_core_device_unpin(vfio_core_device *device, u64 iova, int npages)
{
	const Device &self = Device::of(device);

	if (self.can_unpin(npages)) [[likely]]
		shim_iommu_driver_unpin(&self.pin_target(), iova, npages);
	else
		self.warn_of_unpin(npages);
}

CORE_ENTRY int vfio_core_device_dma_rw(vfio_core_device *device, u64 iova, void *buffer,
				       size_t size, bool write)
{
	return Device::of(device).dma_rw({iova}, buffer, size, write).negative();
}

CORE_ENTRY int vfio_core_check_irq_set(const vfio_irq_set *set, int nirqs, int nindexes,
				       size_t *data_size)
{
	return check_irq_set(*set, nirqs, nindexes, data_size).negative();
}

CORE_ENTRY void vfio_core_iova_bitmap_set(iova_bitmap *bitmap, u64 iova, u64 size)
{
	IovaBitmap::of(bitmap).set({iova}, size);
}

/* Holders of a group's file. */

CORE_ENTRY bool vfio_core_file_is_group(file *file)
{
	return shim_file_group(file);
}

CORE_ENTRY iommu_group *vfio_core_file_iommu_group(file *file)
{
	vfio_group *group = shim_file_group(file);

	if (!group || !shim_kvm_wants_iommu_group())
		return nullptr;
	return Group::of(group).share_iommu_group().release();
}

CORE_ENTRY bool vfio_core_file_enforced_coherent(file *file)
{
	vfio_group *group = shim_file_group(file);

	return !group || Group::of(group).enforced_coherent();
}

CORE_ENTRY void vfio_core_file_set_kvm(file *file, kvm *kvm)
{
	vfio_group *group = shim_file_group(file);

	if (group)
		Group::of(group).set_kvm(kvm);
}

CORE_ENTRY bool vfio_core_file_has_dev(file *file, vfio_core_device *device)
{
	vfio_group *group = shim_file_group(file);

	return group && Device::of(device).in_group(group);
}
