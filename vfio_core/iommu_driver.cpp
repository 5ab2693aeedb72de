// SPDX-License-Identifier: GPL-2.0
#include "iommu_driver.hpp"

#include "entry.h"
#include "registries.hpp"
#include "shim/uapi.h"
#include "vfio_core/shim/module.h"

namespace vfio {

constinit LockClass IommuDriverRegistry::lock_class_ = {"vfio_iommu_drivers", {}};

Result<long> result_of(long returned)
{
	if (returned < 0)
		return Error::from_negative(returned);
	return returned;
}

Result<long> IommuDriver::check_extension(u64 extension) const
{
	u64 ticks = 0;

	return result_of(
		shim_iommu_driver_ioctl(ops_, nullptr, VFIO_CHECK_EXTENSION, extension, &ticks));
}

// Only no-IOMMU mode's driver is left, because the modules of others depend on vfio.ko.
IommuDriverRegistry::~IommuDriverRegistry()
{
	while (IommuDriver *driver = drivers_.pop_front())
		destroy(driver);
}

Result<void> IommuDriverRegistry::add(const vfio_iommu_driver_ops *ops, bool noiommu)
{
	UniquePtr<IommuDriver> driver = TRY(make<IommuDriver>(ops, noiommu));

	if (WARN_ONCE_IF(driver->has(SHIM_IOMMU_DRIVER_REGISTER) !=
				 driver->has(SHIM_IOMMU_DRIVER_UNREGISTER),
			 "IOMMU driver with one of register_device, unregister_device"))
		return Error(EINVAL);

	Guard guard(lock_);

	for (const IommuDriver &other : drivers_)
		if (other.ops() == ops)
			return Error(EINVAL);
	drivers_.push_front(*driver.release());
	return {};
}

CORE_ENTRY int vfio_core_register_iommu_driver(const vfio_iommu_driver_ops *ops)
{
	return registries().iommu_drivers.add(ops).negative();
}

void IommuDriverRegistry::remove(const vfio_iommu_driver_ops *ops)
{
	UniquePtr<IommuDriver> leaving;
	Guard guard(lock_);

	for (IommuDriver &driver : drivers_) {
		if (driver.ops() != ops)
			continue;
		drivers_.remove(driver);
		leaving.reset(&driver);
		return;
	}
}

CORE_ENTRY void vfio_core_unregister_iommu_driver(const vfio_iommu_driver_ops *ops)
{
	registries().iommu_drivers.remove(ops);
}

void IommuDriverRegistry::extend(const vfio_iommu_driver_ops *ops,
				 const vfio_iommu_extension *extension)
{
	Guard guard(lock_);

	for (IommuDriver &driver : drivers_)
		if (driver.ops() == ops)
			driver.extend(extension);
}

CORE_ENTRY void vfio_iommu_driver_extend(const vfio_iommu_driver_ops *ops,
					 const vfio_iommu_extension *extension)
{
	registries().iommu_drivers.extend(ops, extension);
}

static bool has_bit(u64 bits, u64 number)
{
	return number < 64 && bits >> number & 1;
}

bool IommuDriverRegistry::load_modules_for(u64 extension) const
{
	bool any = false;

	for (const shim_iommu_module *module = modules_; module->name; ++module) {
		if (has_bit(module->extensions, extension)) {
			shim_module_load(module->name);
			any = true;
		}
	}
	return any;
}

bool IommuDriverRegistry::depends_on_iommu(u64 extension) const
{
	for (const shim_iommu_module *module = modules_; module->name; ++module)
		if (has_bit(module->some_iommus, extension))
			return true;
	return false;
}

Result<RefPtr<ContainerIommu>> ContainerIommu::open(IommuDriverRef driver, u64 extension)
{
	// Made before the driver is opened, because nothing may fail after that.
	RefPtr<ContainerIommu> iommu =
		RefPtr<ContainerIommu>::adopt(TRY(make<ContainerIommu>(move(driver))).release());

	TRY(Result<void>::from_negative(
		shim_iommu_driver_open(iommu->ops(), extension, &iommu->data_)));
	iommu->open_ = true;
	return iommu;
}

ContainerIommu::~ContainerIommu()
{
	if (open_)
		shim_iommu_driver_release(ops(), data_);
	set_mapper(nullptr);
}

void ContainerIommu::set_mapper(mm_struct *mm)
{
	if (mm)
		shim_task_grab_mm(mm);

	mm_struct *before = mapper_.exchange(mm);

	if (before)
		shim_task_drop_mm(before);
}

int ContainerIommu::show(u32 part, u64 *cursor, seq_file *seq) const
{
	const vfio_iommu_extension *extension = driver_->extension();

	return extension ? extension->show(data_, part, cursor, seq) : 0;
}

void *ContainerIommu::find_domain(iommu_group *group) const
{
	const vfio_iommu_extension *extension = driver_->extension();
	void *domain = nullptr;

	if (!extension || extension->find_domain(data_, group, &domain) < 0)
		return nullptr;
	return domain;
}

Result<long> ContainerIommu::remap(const vfio_remap_page *pages, u32 count) const
{
	const vfio_iommu_extension *extension = driver_->extension();

	if (!extension || !extension->remap)
		return Error(EOPNOTSUPP);
	return result_of(extension->remap(data_, pages, count));
}

Result<void> ContainerIommu::flush_remapped() const
{
	const vfio_iommu_extension *extension = driver_->extension();

	if (!extension || !extension->remap)
		return Error(EOPNOTSUPP);
	extension->flush_remapped(data_);
	return {};
}

void ContainerIommu::end_remapping() const
{
	const vfio_iommu_extension *extension = driver_->extension();

	if (extension && extension->remap)
		extension->end_remapping(data_);
}

void ContainerIommu::device_opened(vfio_device *device) const
{
	if (driver_->has(SHIM_IOMMU_DRIVER_REGISTER))
		shim_iommu_driver_register(ops(), data_, device);
}

void ContainerIommu::device_closed(vfio_device *device) const
{
	if (driver_->has(SHIM_IOMMU_DRIVER_UNREGISTER))
		shim_iommu_driver_unregister(ops(), data_, device);
}

void ContainerIommu::container_closed() const
{
	if (driver_->has(SHIM_IOMMU_DRIVER_CLOSED))
		shim_iommu_driver_closed(ops(), data_);
}

shim_pin_target ContainerIommu::pin_target(iommu_group *group) const
{
	return {driver_->has(SHIM_IOMMU_DRIVER_PIN) ? ops() : nullptr, data_, group};
}

Result<void> ContainerIommu::dma_rw(Iova iova, void *buffer, size_t size, bool write) const
{
	if (!driver_->has(SHIM_IOMMU_DRIVER_DMA_RW)) [[unlikely]]
		return Error(ENOTTY);
	return Result<void>::from_negative(
		shim_iommu_driver_dma_rw(ops(), data_, iova.value, buffer, size, write));
}

} // namespace vfio
