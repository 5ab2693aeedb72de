// SPDX-License-Identifier: GPL-2.0
#include "registries.hpp"

#include "entry.h"

namespace vfio {

// A pointer, because nothing calls static constructors of the core.
static constinit Registries *the_registries;

Registries &registries()
{
	return *the_registries;
}

// Errors: ENOMEM.
CORE_ENTRY int vfio_core_init(const vfio_iommu_driver_ops *noiommu,
			      const shim_iommu_module *modules)
{
	Result<UniquePtr<Registries>> made = make<Registries>(modules);

	if (!made.ok())
		return made.error().negative();

	UniquePtr<Registries> all = made.take();
	const Result<void> added = all->iommu_drivers.add(noiommu, true);

	if (added.ok())
		the_registries = all.release();
	return added.negative();
}

// Called when nothing is registered or open any more.
CORE_ENTRY void vfio_core_exit(void)
{
	destroy(exchange(the_registries, nullptr));
}

} // namespace vfio
