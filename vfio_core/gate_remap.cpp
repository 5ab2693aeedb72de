// SPDX-License-Identifier: GPL-2.0
//
// Pages that a device's scheduler puts in the place of its user's: the IOMMU driver does it.
#include "device.hpp"
#include "gate.hpp"

namespace vfio {

Result<const ContainerIommu *> Gate::container_iommu() const
{
	TRY(check_present());
	if (!device_)
		return Error(EINVAL);
	if (device_->group().type() == SHIM_GROUP_EMULATED)
		return Error(EOPNOTSUPP);
	return iommu_;
}

Result<long> Gate::remap(const vfio_remap_page *pages, u32 count)
{
	Guard guard(lock_);

	const ContainerIommu *iommu = TRY(container_iommu());

	remapped_ = true;
	return iommu->remap(pages, count);
}

void Gate::end_remapping()
{
	if (vfio::exchange(remapped_, false))
		iommu_->end_remapping();
}

Result<void> Gate::flush()
{
	Guard guard(lock_);

	return TRY(container_iommu())->flush_remapped();
}

CORE_ENTRY int vfio_gate_remap(vfio_gate *gate, const vfio_remap_page *pages, unsigned int count)
{
	// The number of pages is that of an array in memory; the IOMMU driver has a long.
	Result<long> done = Gate::of(gate).remap(pages, min<u32>(count, 0x7fff'ffff));

	return done.ok() ? static_cast<int>(done.value()) : done.error().negative();
}

CORE_ENTRY int vfio_gate_flush(vfio_gate *gate)
{
	return Gate::of(gate).flush().negative();
}

} // namespace vfio
