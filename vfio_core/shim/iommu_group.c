// SPDX-License-Identifier: GPL-2.0
#include <linux/err.h>
#include <linux/iommu.h>
#include <linux/kconfig.h>

#include "compat/iommu.h"
#include "vfio_core/shim/iommu_group.h"

struct iommu_group *shim_iommu_group_of(struct device *dev)
{
	return iommu_group_get(dev);
}

int shim_iommu_group_create(const char *name, struct iommu_group **group)
{
	struct iommu_group *made = iommu_group_alloc();
	int ret;

	if (IS_ERR(made))
		return PTR_ERR(made);
	ret = iommu_group_set_name(made, name);
	if (ret) {
		iommu_group_put(made);
		return ret;
	}
	*group = made;
	return 0;
}

int shim_iommu_group_add(struct iommu_group *group, struct device *dev)
{
	return iommu_group_add_device(group, dev);
}

void shim_iommu_group_remove(struct device *dev)
{
	iommu_group_remove_device(dev);
}

void shim_iommu_group_get(struct iommu_group *group)
{
	iommu_group_ref_get(group);
}

void shim_iommu_group_put(struct iommu_group *group)
{
	iommu_group_put(group);
}

int shim_iommu_group_id(struct iommu_group *group)
{
	return iommu_group_id(group);
}

int shim_iommu_group_claim_dma(struct iommu_group *group,
			       struct vfio_group *owner)
{
	return iommu_group_claim_dma_owner(group, owner);
}

void shim_iommu_group_release_dma(struct iommu_group *group)
{
	iommu_group_release_dma_owner(group);
}

bool shim_iommu_group_dma_claimed(struct iommu_group *group)
{
	return iommu_group_dma_owner_claimed(group);
}

bool shim_iommu_can_snoop(struct device *dev)
{
	return device_iommu_capable(dev, IOMMU_CAP_CACHE_COHERENCY);
}

int shim_iommu_enforces_coherency(struct device *dev)
{
	return compat_device_enforces_coherency(dev);
}

bool shim_kvm_wants_iommu_group(void)
{
	return IS_ENABLED(CONFIG_SPAPR_TCE_IOMMU);
}
