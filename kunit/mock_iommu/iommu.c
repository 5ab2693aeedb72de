// SPDX-License-Identifier: GPL-2.0
/*
 * The mock IOMMUs, their buses, devices and groups.
 *
 * The kernel has one IOMMU driver a bus, so each IOMMU has a bus of its own.
 * The devices are made known to the IOMMU core the way firmware code does it,
 * since the bus is none of those that the core probes.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "mock.h"

bool mock_strict = true;
module_param_named(strict, mock_strict, bool, 0444);
MODULE_PARM_DESC(
	strict,
	"Check that what one call mapped is unmapped as a whole (default: true)");

/* An operation that makes a domain is not told for which IOMMU of the driver. */
#define DEFINE_ALLOC(n)                                               \
	static struct iommu_domain *mock_alloc_##n(unsigned int type) \
	{                                                             \
		return mock_domain_alloc(&mock_iommus[n], type);      \
	}
DEFINE_ALLOC(0)
DEFINE_ALLOC(1)
DEFINE_ALLOC(2)
DEFINE_ALLOC(3)

struct mock_iommu mock_iommus[VFIO_MOCK_IOMMUS] = {
	{
		.ops.domain_alloc = mock_alloc_0,
		.domain_ops = &mock_domain_ops,
		.flags = VFIO_MOCK_INTREMAP | VFIO_MOCK_COHERENT,
		.pgsizes = SZ_4K | SZ_2M | SZ_1G,
		.first = 0,
		.last = (1ULL << 48) - 1,
		.reserved_first = 0xfee00000,
		.reserved_size = SZ_1M,
		.reserved_type = IOMMU_RESV_MSI,
	},
	{
		.ops.domain_alloc = mock_alloc_1,
		.domain_ops = &mock_domain_ops_other,
		.flags = VFIO_MOCK_INTREMAP,
		.pgsizes = SZ_2K | SZ_4K | SZ_2M,
		.first = SZ_64K,
		.last = (1ULL << 39) - 1,
		.reserved_first = 0x40000000,
		.reserved_size = SZ_1M,
		.reserved_type = IOMMU_RESV_RESERVED,
	},
	{
		.ops.domain_alloc = mock_alloc_2,
		.domain_ops = &mock_domain_ops,
		.flags = VFIO_MOCK_INTREMAP,
		.pgsizes = SZ_4K | SZ_64K,
		.first = 0,
		.last = U32_MAX,
	},
	{
		.ops.domain_alloc = mock_alloc_3,
		.domain_ops = &mock_domain_ops_other,
		.pgsizes = SZ_2K,
		.first = 0,
		.last = U64_MAX,
	},
};

static struct mock_iommu *iommu_of(struct device *dev)
{
	return container_of(dev, struct mock_device, dev)->iommu;
}

struct mock_iommu *mock_iommu_get(unsigned int nr)
{
	return nr < VFIO_MOCK_IOMMUS ? &mock_iommus[nr] : NULL;
}
EXPORT_SYMBOL_GPL(mock_iommu_get);

unsigned int mock_fail(struct mock_iommu *iommu, unsigned int kind,
		       unsigned int nth)
{
	return atomic_xchg(&iommu->fail[kind], nth);
}
EXPORT_SYMBOL_GPL(mock_fail);

bool mock_fails(struct mock_iommu *iommu, unsigned int kind)
{
	return atomic_dec_if_positive(&iommu->fail[kind]) == 0;
}

void mock_counts(struct mock_iommu *iommu, struct vfio_mock_counts *counts)
{
	*counts = (struct vfio_mock_counts){
		.iommu = iommu->nr,
		.map_calls = atomic64_read(&iommu->map_calls),
		.unmap_calls = atomic64_read(&iommu->unmap_calls),
		.flushes = atomic64_read(&iommu->flushes),
		.attaches = atomic64_read(&iommu->attaches),
		.domains = atomic64_read(&iommu->domains),
		.ptes = atomic64_read(&iommu->ptes),
		.stale = atomic64_read(&iommu->stale),
		.freed_mapped = atomic64_read(&iommu->freed_mapped),
		.violations = atomic64_read(&iommu->violations),
	};
}
EXPORT_SYMBOL_GPL(mock_counts);

static bool mock_capable(struct device *dev, enum iommu_cap cap)
{
	switch (cap) {
	case IOMMU_CAP_CACHE_COHERENCY:
		return true;
	case IOMMU_CAP_INTR_REMAP:
		return READ_ONCE(iommu_of(dev)->flags) & VFIO_MOCK_INTREMAP;
	default:
		return false;
	}
}

static void mock_get_resv_regions(struct device *dev, struct list_head *list)
{
	struct mock_iommu *iommu = iommu_of(dev);
	struct iommu_resv_region *region;

	if (!iommu->reserved_size)
		return;
	region = iommu_alloc_resv_region(iommu->reserved_first,
					 iommu->reserved_size, 0,
					 iommu->reserved_type, GFP_KERNEL);
	if (region)
		list_add_tail(&region->list, list);
}

/*
 * vfio.ko keeps the module of the driver that a device is bound to. These are
 * bound to none; they only say so.
 */
static struct device_driver mock_driver = {
	.name = "vfio_mock",
	.owner = THIS_MODULE,
};

static void mock_device_release(struct device *dev)
{
	kfree(container_of(dev, struct mock_device, dev));
}

static void mock_device_destroy(struct mock_device *mdev)
{
	struct device *dev = &mdev->dev;

	mock_vfio_destroy(mdev);
	if (mdev->group) {
		iommu_group_remove_device(dev);
		iommu_group_put(mdev->group);
	}
	iommu_fwspec_free(dev);
	/* Nothing that is exported frees the rest of what iommu_fwspec_init() made. */
	kfree(dev->iommu);
	dev->iommu = NULL;
	dev->driver = NULL;
	device_unregister(dev);
}

static int mock_device_create(struct mock_iommu *iommu, unsigned int nr)
{
	struct mock_device *mdev = kzalloc(sizeof(*mdev), GFP_KERNEL);
	struct iommu_group *group;
	int ret;

	if (!mdev)
		return -ENOMEM;
	mdev->iommu = iommu;
	mutex_init(&mdev->lock);
	mdev->dev.bus = &iommu->bus;
	mdev->dev.release = mock_device_release;
	ret = dev_set_name(&mdev->dev, "%s.%u", iommu->name, nr);
	if (ret) {
		kfree(mdev);
		return ret;
	}
	ret = device_register(&mdev->dev);
	if (ret) {
		put_device(&mdev->dev);
		return ret;
	}
	iommu->devices[nr] = mdev;
	mdev->dev.driver = &mock_driver;

	ret = iommu_fwspec_init(&mdev->dev, NULL, &iommu->ops);
	if (ret)
		return ret;
	mdev->dev.iommu->iommu_dev = &iommu->handle;

	group = iommu_group_alloc();
	if (IS_ERR(group))
		return PTR_ERR(group);
	ret = iommu_group_add_device(group, &mdev->dev);
	if (ret) {
		iommu_group_put(group);
		return ret;
	}
	mdev->group = group;
	return mock_vfio_create(mdev);
}

static int mock_iommu_create(struct mock_iommu *iommu, unsigned int nr)
{
	unsigned int i;
	int ret;

	iommu->nr = nr;
	snprintf(iommu->name, sizeof(iommu->name), "vfio_mock%u", nr);
	iommu->ops.capable = mock_capable;
	iommu->ops.get_resv_regions = mock_get_resv_regions;
	iommu->ops.default_domain_ops = iommu->domain_ops;
	iommu->ops.pgsize_bitmap = iommu->pgsizes;
	iommu->ops.owner = THIS_MODULE;
	iommu->handle.ops = &iommu->ops;
	iommu->bus.name = iommu->name;
	iommu->bus.iommu_ops = &iommu->ops;
	ret = bus_register(&iommu->bus);
	if (ret) {
		iommu->bus.name = NULL;
		return ret;
	}
	for (i = 0; i < VFIO_MOCK_DEVICES; i++) {
		ret = mock_device_create(iommu, i);
		if (ret)
			return ret;
	}
	return 0;
}

void mock_iommus_destroy(void)
{
	unsigned int nr, i;

	for (nr = 0; nr < VFIO_MOCK_IOMMUS; nr++) {
		struct mock_iommu *iommu = &mock_iommus[nr];

		for (i = 0; i < VFIO_MOCK_DEVICES; i++)
			if (iommu->devices[i])
				mock_device_destroy(iommu->devices[i]);
		if (iommu->bus.name)
			bus_unregister(&iommu->bus);
	}
}

int mock_iommus_create(void)
{
	unsigned int nr;
	int ret;

	for (nr = 0; nr < VFIO_MOCK_IOMMUS; nr++) {
		ret = mock_iommu_create(&mock_iommus[nr], nr);
		if (ret) {
			mock_iommus_destroy();
			return ret;
		}
	}
	return 0;
}
